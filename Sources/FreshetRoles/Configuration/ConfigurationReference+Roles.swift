extension ConfigurationReference {
  static let trainer: [String: Meaning] = [
    "group": Meaning("", "consumer group on `examples`"),
    "batch_size": Meaning(
      "examples",
      """
      most examples in a batch: what is pulled and pushed together. Larger is faster; what is learned in other \
      partitions meanwhile is seen later
      """),
    "micro_batch_size": Meaning(
      "examples",
      """
      examples of a batch after which the trainer takes a step on its copies of the rows \
      ([training](training.md)). Larger is faster and less accurate where users act in bursts; from \
      `batch_size` on there are no such steps
      """),
    "pipeline_depth": Meaning(
      "batches",
      """
      of a partition between pull and push; 1 means that a batch sees all gradients of those before it in its \
      partition
      """),
    "maximum_unacknowledged": Meaning("batches", "of a partition, pushed and not acknowledged"),
    "queued_examples": Meaning("examples, per partition", "that wait in memory; beyond it nothing is read"),
    "validation.window": Meaning(
      "examples of a partition",
      """
      over which the trainers' recent figures are: the last full window and what has come since \
      ([training](training.md#validation))
      """),
    "validation.slices": Meaning(
      "slots of the model",
      """
      by whose values figures are divided as well. `--set trainer.validation.slices=gender,age`
      """),
    "validation.slice_values": Meaning(
      "values of a slot",
      """
      that are slices of their own, the most frequent ones; all others are one slice together
      """),
    "validation.interval_ms": Meaning(
      "ms of wall time",
      """
      between two records of the same figures in `kafka.topics.validation`; 0 writes none
      """),
    "guard.window": Meaning(
      "examples; at least two batches",
      """
      that are judged together, of each task ([training](training.md#the-guard))
      """),
    "guard.maximum_logloss": Meaning(
      "nats",
      """
      mean over the window beyond which training is held until somebody resumes it
      """),
    "guard.maximum_normalized_entropy": Meaning(
      "",
      """
      the same for the normalized entropy, which does not move with the base rate; 1 is what knowing the base \
      rate alone would give
      """),
    "host": Meaning("", "of the status port"),
    "port": Meaning(
      "",
      """
      of the status port (`PING`, `INFO`, `RESUME`); 0 opens none. Also names the trainer in its group: each \
      on a machine has its own
      """),
    "metrics_port": Meaning(
      "",
      """
      HTTP, for metrics and health; `--metrics-port` of the command stands above it; 0 opens none
      """),
  ]

  static let joiner: [String: Meaning] = [
    "group": Meaning("", "consumer group on `features` and `actions`"),
    "window_ms": Meaning("ms of event time", "how long after its impression an action counts"),
    "grace_ms": Meaning(
      "ms of event time",
      """
      how much earlier than its impression an action may be, and how long it waits for it
      """),
    "idle_timeout_ms": Meaning(
      "ms of wall time",
      """
      after which a topic without records no longer holds the other one back
      """),
    "emit": Meaning(
      "",
      """
      an example with each action, of its tasks; or one for each impression when its window closes, of all \
      tasks ([joiner.md](joiner.md#what-gives-an-example))
      """),
    "late_actions": Meaning(
      "",
      """
      what becomes of an action after its impression's window gave an example or a negative: `correct` takes \
      that back ([joiner.md](joiner.md#corrections))
      """),
    "correction_ms": Meaning(
      "ms of event time",
      """
      how long after its window an impression can be corrected; only with `correct`
      """),
    "max_ahead_ms": Meaning(
      "ms",
      """
      how far an event time may be ahead of append time and wall clock; beyond it the record is a dead letter \
      ([joiner.md](joiner.md#clocks))
      """),
    "negatives": Meaning("", "whether a window that closes without an action gives a negative example"),
    "negative_rate": Meaning("", "the probability with which those are kept; scores are corrected for it"),
    "state_bytes": Meaning(
      "bytes, per partition",
      """
      waiting impressions in memory; beyond it the oldest is given up and goes to `dead-letter`, unless there \
      is a `state`
      """),
    "state": Meaning(
      "",
      """
      a directory of this joiner alone: impressions beyond `state_bytes` wait there, and a restart goes on \
      from it ([joiner-state.md](joiner-state.md))
      """),
    "disk_bytes": Meaning(
      "bytes, per partition",
      """
      of that directory; beyond it, or when the disk is full, the partition stands still until there is room
      """),
    "commit_interval_ms": Meaning("ms", "longest time between two transactions while there is output"),
    "host": Meaning("", "of the status port"),
    "port": Meaning(
      "",
      """
      of the status port; 0 opens none. Also tells joiners on one machine apart: give each its own
      """),
    "metrics_port": Meaning(
      "",
      """
      HTTP, for metrics and health; `--metrics-port` of the command stands above it; 0 opens none
      """),
  ]

  static let archive: [String: Meaning] = [
    "store": Meaning("", "a directory, or `s3://bucket/prefix`. Not that of the snapshots"),
    "topics": Meaning(
      "",
      """
      what is kept; empty: the examples. Other topics than the examples become lines of JSON. `--topics` of \
      the command stands above it
      """),
    "group": Meaning("", "consumer group; several processes of it share the partitions"),
    "file_offsets": Meaning("offsets", "a new file begins at each multiple of it"),
    "file_bytes": Meaning("bytes", "keys and values in a file, before compression"),
    "window_ms": Meaning("ms, a divisor of a day", "a new file begins with a record of a later window of time"),
    "close_after_ms": Meaning(
      "ms of wall time",
      """
      after its window the last file of a quiet partition is closed \
      ([archive-format.md](archive-format.md#where-files-are-cut))
      """),
    "host": Meaning("", "of the status port"),
    "port": Meaning(
      "",
      """
      of the status port; 0 opens none. Also names the process in its group: each on a machine has its own
      """),
    "metrics_port": Meaning(
      "",
      """
      HTTP, for metrics and health; `--metrics-port` of the command stands above it; 0 opens none
      """),
  ]

  static let serving: [String: Meaning] = [
    "host": Meaning("", "the interface to listen on"),
    "port": Meaning("", "`--port` of the command stands above it; 0 lets the system choose"),
    "http_port": Meaning(
      "",
      """
      HTTP: scores, recommendations, metrics and health ([http.md](http.md)); `--http-port` of the command \
      stands above it; 0 opens none
      """),
    "maximum_candidates": Meaning("", "in one request"),
    "weights": Meaning(
      "",
      """
      what a replica keeps its copy of the embeddings as, whatever the servers train in. The 16-bit formats \
      halve the copy; scores change in the third (`fp16`) or second (`bf16`) digit of each weight. The \
      network's own parameters stay `fp32`
      """),
    "threads": Meaning(
      "",
      """
      that answer requests, all from one copy; connections are dealt out to them in turn. One more thread \
      follows the parameter servers and the items ([serving.md](serving.md#threads))
      """),
    "state": Meaning(
      "",
      """
      a directory of this replica alone, where it saves its copy to start from \
      ([serving.md](serving.md#the-saved-copy)); `null`: nowhere
      """),
    "state_interval_ms": Meaning("ms", "from one round of saving to the next"),
  ]

  static let gateway: [String: Meaning] = [
    "host": Meaning("", "the interface to listen on"),
    "port": Meaning(
      "",
      """
      the HTTP port; `--port` of the command stands above it, and without either `freshet gateway` takes 8082
      """),
    "status_port": Meaning(
      "", "for `PING` and `INFO`; `--status-port` of the command stands above it; 0 opens none"),
    "topics": Meaning(
      "",
      """
      what `/topics` may write; empty: `features`, `actions`, `items` and the topics of enrichments. Others than \
      Freshet's must exist
      """),
    "timeout_ms": Meaning("ms", "after that a record that the broker has not acknowledged is given up"),
    "max_body_bytes": Meaning("bytes", "of one request"),
    "max_records_in_flight": Meaning("records", "on their way to the broker"),
    "max_bytes_in_flight": Meaning(
      "bytes, at least `max_body_bytes`", "keys and values on their way, and all bodies together"),
  ]

  private static let asked = """
    status ports (replicas: RESP ports) to ask; `null`: the one at the role's own `host` and `port`, the archive's if \
    there is a store. `freshet up` names the trainers and replicas that it starts. `[]`: none
    """

  static let dashboard: [String: Meaning] = [
    "host": Meaning("", "the interface to listen on"),
    "port": Meaning("", "HTTP; `--port` of the command stands above it; 0: `freshet up` runs none"),
    "interval_ms": Meaning("ms", "from one question to the next, to each process and to Kafka"),
    "title_field": Meaning("", "the member of the records in `items` that people know an item by"),
    "titles": Meaning("items", "whose titles are kept in memory, at most; those beyond have ids only"),
    "joiners": Meaning("", asked, type: "list of `host:port`"),
    "trainers": Meaning("", asked, type: "list of `host:port`"),
    "replicas": Meaning("", asked, type: "list of `host:port`"),
    "archives": Meaning("", asked, type: "list of `host:port`"),
  ]
}
