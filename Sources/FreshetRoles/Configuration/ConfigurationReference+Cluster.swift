/// Units and meanings of all keys, by section. A new section has its line here.
extension ConfigurationReference {
  static let meanings: [String: [String: Meaning]] = [
    "kafka": kafka,
    "cluster": cluster,
    "ps": parameterServer,
    "snapshot": snapshot,
    "s3": s3,
    "trainer": trainer,
    "joiner": joiner,
    "archive": archive,
    "gateway": gateway,
    "serve": serving,
    "dashboard": dashboard,
    "model": model,
    "model.fields": modelFields,
    "model.enrichments": modelEnrichments,
    "model.tables": modelTables,
    "model.slots": modelSlots,
    "model.dense_features": modelDenseFeatures,
    "model.network": modelNetwork,
    "model.optimizer": modelOptimizer,
    "model.tasks": modelTasks,
  ]

  static let kafka: [String: Meaning] = [
    "bootstrap_servers": Meaning("", "brokers, `host:port,host:port`"),
    "partitions": Meaning("", "of `features`, `actions` and `examples`, which must agree"),
    "replication_factor": Meaning("", "of topics that Freshet creates"),
    "topics.features": Meaning("", "impressions"),
    "topics.actions": Meaning("", "what users did"),
    "topics.items": Meaning("", "catalog; created compacted, with one partition"),
    "topics.examples": Meaning("", "joined examples"),
    "topics.dead_letter": Meaning("", "records that cannot be used; one partition"),
    "topics.validation": Meaning(
      "",
      """
      what trainers say of their predictions ([training](training.md#the-topic)); created compacted, with one \
      partition, unless `trainer.validation.interval_ms` is 0
      """),
    "properties": Meaning(
      "",
      """
      any librdkafka property by its own name, such as `security.protocol`, `sasl.mechanisms`, \
      `ssl.ca.location`
      """, fallback: "none", type: "mapping"),
  ]

  static let cluster: [String: Meaning] = [
    "shards": Meaning("", "logical partitions of the fid space; fixed for the life of a cluster"),
    "servers": Meaning(
      "",
      """
      1 to `shards`: where trainers and replicas find the parameter servers; a server's position is its \
      `--index`. Shard *s* is on server *s* mod (number of servers)
      """),
    "password": Meaning("", "asked for on every port (`AUTH`), and given by Freshet's own clients"),
  ]

  static let parameterServer: [String: Meaning] = [
    "host": Meaning("", "the interface to listen on; the port is that of the server's entry in `cluster.servers`"),
    "sync_interval_ms": Meaning(
      "ms",
      """
      how often replicas get the rows that changed. An interval in which nothing was learned ends with the \
      next push that comes while a replica waits
      """),
    "dense_interval_ms": Meaning(
      "ms",
      """
      the same for the dense tensors; `null`: with the rows. Watermarks and freshness speak of the rows
      """),
    "sync_weights": Meaning(
      "",
      """
      what embeddings travel to replicas as. With `fp32` a replica has its servers' rows bit for bit (if \
      `serve.weights` is `fp32`); the 16-bit formats halve the bytes. Tables that are trained in 16 bits \
      travel in those, dense tensors in `fp32`
      """),
    "sync_bytes_per_second": Meaning(
      "bytes",
      """
      to all replicas of a server together; `null`: no limit. Replicas wait for their turn, nothing is \
      buffered for them ([operations.md](operations.md#bounds))
      """),
    "delta_log_bytes": Meaning(
      "bytes, per shard",
      """
      deltas kept for replicas that fall behind; one that is further behind gets a full copy
      """),
    "maximum_rows_per_request": Meaning("rows", "in one `PULL` or `PUSH`"),
    "metrics_port": Meaning(
      "",
      """
      server 0's HTTP port for metrics and health ([http.md](http.md)), server *i*'s is the *i*-th after it; 0 \
      opens none
      """),
  ]

  static let snapshot: [String: Meaning] = [
    "store": Meaning(
      "",
      """
      a directory, or `s3://bucket/prefix`. Servers may share one: each writes the files of its own shards. \
      Without a store nothing is saved
      """),
    "interval_ms": Meaning(
      "ms",
      """
      from one round over all shards to the next. What was learned since the last snapshot is learned again \
      after a crash
      """),
    "base_every": Meaning(
      "deltas",
      """
      deltas (what changed) of a shard before it gets a new base (everything). A base comes earlier when the \
      deltas are larger than half of it together
      """),
    "keep": Meaning(
      "snapshots",
      """
      snapshots of a shard that stay, with all files that they need; besides them the newest one that rests on \
      another base, so that one damaged base is not the end of all
      """),
  ]

  static let s3: [String: Meaning] = [
    "endpoint": Meaning(
      "",
      """
      `http://host[:port]` or `https://host[:port]` of a server that speaks the S3 protocol. Environment: \
      `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`
      """, fallback: "AWS's own of the region"),
    "region": Meaning("", "part of every signature. Environment: `AWS_REGION`, `AWS_DEFAULT_REGION`"),
    "access_key_id": Meaning("", "required for `s3://`. Environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`"),
    "secret_access_key": Meaning(
      "",
      """
      required for `s3://`. Environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`
      """),
    "session_token": Meaning(
      "",
      """
      of temporary credentials. Environment: `AWS_SESSION_TOKEN`. Key, secret and token come from the \
      environment only together: if `access_key_id` is given, none of the three does
      """),
    "path_style": Meaning(
      "",
      """
      `endpoint/bucket/key` instead of `bucket.endpoint/key`
      """, fallback: "`true` with an `endpoint`, else `false`"),
  ]
}
