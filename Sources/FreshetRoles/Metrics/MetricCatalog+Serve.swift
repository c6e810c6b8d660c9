extension MetricCatalog {
  static let serve: [MetricDescription] =
    models + replica + freshness
    + MetricDescription.section(
      "catalog",
      [
        .gauge("items", "items", "Items in the catalog."),
        .gauge("enrichment_records", "enrichment_records", "Records of an enrichment.", by: "enrichment"),
        .gauge("capacity", "items_maximum", "Items for which there is room."),
        .gauge("caught_up", "items_caught_up", "1 once the items have been read to the end."),
        .counter("records", "item_records_total", "Records of items and enrichments."),
        .counter("deletions", "item_deletions_total", "Those of them that took something away."),
        .counter("bad_records", "bad_item_records_total", "Those of them that could not be used."),
        .counter("bad_records_by", "bad_item_records_by_reason_total", "The same by reason.", by: "reason"),
      ])
    + MetricDescription.section(
      "scoring",
      [
        .counter("requests", "requests_total", "Requests for scores and recommendations that were answered."),
        .counter("refused", "requests_refused_total", "Those that were refused with an error."),
        .counter("candidates", "candidates_total", "Rows of features that were scored."),
        .counter("unknown_fids", "unknown_fids_total", "Feature values that have no row."),
        .counter("unknown_items", "unknown_items_total", "Candidates whose item is not in the catalog."),
        .counter("unknown_users", "unknown_users_total", "Requests whose user has no row."),
        .counter("unknown_enrichments", "unknown_enrichments_total", "Keys that an enrichment does not have."),
        .gauge("threads", "threads", "Event loops that answer."),
        .counter("thread_requests", "thread_requests_total", "Requests that one of them answered.", by: "thread"),
        .histogram(
          "request_duration", "request_duration_seconds",
          "From the arrival of a request for scores or recommendations to its reply.", by: "command"),
      ], MetricDescription.percentiles("latency_", "us"))

  private static let models =
    MetricDescription.section(
      "model",
      [
        .label("model", "model", of: "model_info", "Which model answers, in labels; always 1."),
        .label("model_servers", "servers", of: "model_info", "Which model answers, in labels; always 1."),
        .gauge("model_version", "model_version", "Version of the model that answers."),
      ])
    + MetricDescription.section(
      "promotion",
      [
        .gauge("candidate_version", "candidate_version", "Version of the model that is, or was, to be promoted."),
        .gauge(
          "candidate_servers_connected", "candidate_servers_connected", "Parameter servers that its copy reaches."),
        .gauge("candidate_shards", "candidate_shards", "Shards of its copy."),
        .gauge("candidate_shards_complete", "candidate_shards_complete", "Those of them that have been copied once."),
        .gauge("candidate_rows", "candidate_rows", "Rows of its copy."),
        .gauge("candidate_bytes", "candidate_bytes", "Memory of its copy."),
        .gauge("candidate_age_ms", "candidate_age_seconds", "As replica_age_seconds, of its copy.", in: .milliseconds),
        .gauge("candidate_lag_examples", "candidate_lag_examples", "Examples that it lacks."),
        .gauge(
          "candidate_lag_ms", "candidate_lag_seconds", "How far its newest example is behind.", in: .milliseconds),
      ],
      MetricDescription.infoOnly("promotion", "promotion_error", "candidate_waits_for", "candidate_trouble"))

  private static let replica =
    MetricDescription.section(
      "replica",
      [
        .gauge("servers_connected", "replica_servers_connected", "Parameter servers that the copy reaches."),
        .gauge("shards", "replica_shards", "Shards of the copy."),
        .gauge("shards_complete", "replica_shards_complete", "Those of them that have been copied once."),
        .gauge(
          "age_ms", "replica_age_seconds",
          "How long ago the shard that has waited longest was known to have everything.", in: .milliseconds),
        .gauge("shard_sequence", "replica_shard_sequence", "Number of the last delta of a shard.", by: "shard"),
        .counter("frames", "replica_frames_total", "Frames from parameter servers."),
        .counter("frame_bytes", "replica_frame_bytes_total", "Their size."),
        .counter("rows_received", "replica_received_rows_total", "Rows in them."),
        .counter("tombstones", "replica_tombstones_total", "Rows that they took away."),
        .counter("duplicates", "replica_duplicate_frames_total", "Frames that had come before."),
        .counter("gaps", "replica_gaps_total", "Frames that did not follow on, and were asked for again."),
        .counter("malformed", "replica_malformed_frames_total", "Frames that were damaged, and were asked for again."),
        .counter("bases", "replica_bases_total", "Shards copied in full."),
        .gauge("rows", "replica_rows", "Rows of the copy.", by: "table"),
        .gauge("bytes", "replica_bytes", "Memory of the copy.", by: "table"),
      ], MetricDescription.infoOnly("ready", "shard"))
    + MetricDescription.section(
      "watermarks",
      [.gauge("offset", "watermark_offset", "Offset up to which the copy has learned a partition.", by: "partition")])
    + MetricDescription.section(
      "state",
      [
        .gauge("restored_shards", "state_restored_shards", "Shards that began with the saved copy."),
        .gauge("restored_rows", "state_restored_rows", "Rows that this life began with."),
        .gauge("restored_skipped", "state_restore_skipped", "Saved shards that could not be used."),
        .gauge("restored_age_ms", "state_restored_age_seconds", "How old the saved copy is by now.", in: .milliseconds),
        .gauge("restore_ms", "state_restore_seconds", "How long reading it took.", in: .milliseconds),
        .counter("bases", "state_bases_total", "Shards saved in full."),
        .counter("deltas", "state_deltas_total", "Times that what had changed in a shard was saved."),
        .counter("saved_rows", "state_saved_rows_total", "Rows saved."),
        .counter("bytes_written", "state_written_bytes_total", "Bytes written, compressed."),
        .counter("failures", "state_failures_total", "Times that the disk did not take it."),
        .counter("abandoned", "state_abandoned_total", "Times that it was given up because the disk was too slow."),
        .gauge(
          "last_duration_ms", "state_last_duration_seconds", "How long saving took last.", in: .milliseconds),
      ], MetricDescription.infoOnly("directory", "last_failure"))

  private static let freshness = MetricDescription.section(
    "freshness",
    [
      .histogram(
        "freshness", "freshness_seconds", "From an action's append to Kafka to scores that reflect it."),
      .counter(
        "unmeasured_examples", "unmeasured_examples_total",
        "Examples learned whose age is not known, as a base took the place of deltas."),
    ], MetricDescription.percentiles("", "ms"))
}
