extension MetricCatalog {
  static let parameterServer: [MetricDescription] =
    tables + training + sync + snapshots
    + MetricDescription.section(
      "latency",
      [
        .histogram(
          "request_duration", "request_duration_seconds",
          "From the arrival of a PULL or PUSH to its reply, of those that were carried out.", by: "command")
      ], MetricDescription.percentiles("pull_", "us"), MetricDescription.percentiles("push_", "us"))
    + MetricDescription.section("validation", serverValidation + validation)

  private static let tables = MetricDescription.section(
    "tables",
    [
      .gauge("rows", "table_rows", "Rows in memory, expired ones until they are found.", by: "table"),
      .gauge("bytes", "table_bytes", "Memory of index, rows, admission and change bits.", by: "table"),
      .gauge("load_factor", "table_index_load_ratio", "Share of the index in use.", by: "table"),
      .gauge(
        "mean_probes", "table_index_mean_probes", "Cache lines that a search for a present fid reads, over a sample.",
        by: "table"),
      .gauge("maximum_probes", "table_index_maximum_probes", "The most of them in the sample.", by: "table"),
      .counter("updates", "table_updates_total", "Gradients applied to rows.", by: "table"),
      .counter("inserts", "table_inserted_rows_total", "Fids that got a row.", by: "table"),
      .counter("removals", "table_removed_rows_total", "Rows that went away, for whatever reason.", by: "table"),
      .counter(
        "expired", "table_expired_rows_total", "Rows not updated within their time to live: removed or begun anew.",
        by: "table"),
      .counter("evicted", "table_evicted_rows_total", "Rows that gave way at the limit of rows.", by: "table"),
      .counter(
        "rejected", "table_rejected_gradients_total", "Gradients dropped because their fid was not admitted.",
        by: "table"),
      .counter(
        "nonfinite_gradients", "table_nonfinite_gradients_total", "Gradients skipped for a NaN or an infinity.",
        by: "table"),
    ])

  private static let training = MetricDescription.section(
    "training",
    [
      .gauge("stopping", "stopping", "1 once the server learns nothing more and saves what it has."),
      .counter("claims", "claims_total", "Claims of partitions by trainers."),
      .counter("pulls", "pulls_total", "Pulls that were answered."),
      .counter("rows_pulled", "pulled_rows_total", "Rows in the answers to pulls."),
      .counter("pushes", "pushes_total", "Pushes that were applied, now or before."),
      .counter("rows_pushed", "pushed_rows_total", "Rows in those pushes."),
      .counter("duplicate_pushes", "duplicate_pushes_total", "Pushes of what had been applied before: no effect."),
      .counter("fenced_pushes", "fenced_pushes_total", "Pushes refused because another trainer has the partition."),
      .counter("watermark_refusals", "watermark_refusals_total", "Pushes refused because they did not follow on."),
      .gauge(
        "watermark", "watermark_offset", "Offset up to which a shard has learned a partition.", by: "shard", "partition"
      ),
    ], MetricDescription.infoOnly("pass"))

  private static let sync = MetricDescription.section(
    "sync",
    [
      .gauge(
        "replicas_waiting", "sync_replicas_waiting",
        "Replicas that have everything, or that the bandwidth cap keeps waiting."),
      .counter("replicas_refused", "sync_replicas_refused_total", "Requests of replicas beyond the bound."),
      .counter(
        "replicas_rebased", "sync_replicas_rebased_total", "Replicas that were too slow for the deltas and got a base."),
      .counter("deltas_sealed", "sync_deltas_sealed_total", "Deltas made of what had changed."),
      .counter("deltas_sealed_early", "sync_deltas_sealed_early_total", "Those of them made before their time."),
      .counter("deltas_split", "sync_deltas_split_total", "Deltas that were too large for one frame."),
      .counter("deltas_dropped", "sync_deltas_dropped_total", "Deltas dropped at ps.delta_log_bytes."),
      .counter("delta_bytes", "sync_delta_bytes_total", "Bytes of the deltas, compressed."),
      .counter("receipts_merged", "sync_receipts_merged_total", "Receipts of batches merged at their bound."),
      .counter("base_chunks", "sync_base_chunks_total", "Chunks of bases that were sent."),
      .counter(
        "base_chunks_shared", "sync_base_chunks_shared_total", "Those of them that had been made for another replica."),
      .counter("answer_bytes", "sync_sent_bytes_total", "Bytes sent to replicas."),
      .counter("capped_requests", "sync_capped_requests_total", "Requests that the bandwidth cap kept waiting."),
      .counter("capped_ms", "sync_capped_seconds_total", "How long it kept them.", in: .milliseconds),
      .counter("capped_refusals", "sync_capped_refusals_total", "Those of them that got no answer in 10 s."),
    ])

  private static let snapshots = MetricDescription.section(
    "snapshot",
    [
      .gauge("loading", "snapshot_restoring", "1 while the shards are restored."),
      .gauge("restore_bytes_read", "snapshot_restore_read_bytes", "Bytes read so far while the shards are restored."),
      .gauge("restore_ms", "snapshot_restore_seconds", "How long the restoring took, or takes.", in: .milliseconds),
      .gauge("restored_shards", "snapshot_restored_shards", "Shards that began with a snapshot."),
      .gauge("restored_rows", "snapshot_restored_rows", "Rows that this life began with."),
      .gauge("restored_bytes", "snapshot_restored_bytes", "Bytes of files that were read for them."),
      .gauge("restored_skipped", "snapshot_restore_skipped", "Newer snapshots that were damaged and passed over."),
      .counter("bases", "snapshot_bases_total", "Full snapshots of shards."),
      .counter("deltas", "snapshot_deltas_total", "Snapshots of what had changed in a shard."),
      .counter("snapshot_rows", "snapshot_rows_total", "Rows in them."),
      .counter("bytes_written", "snapshot_written_bytes_total", "Bytes written, compressed."),
      .counter("raw_bytes", "snapshot_raw_bytes_total", "The same before compression."),
      .counter("failures", "snapshot_failures_total", "Snapshots that the store did not take."),
      .counter("abandoned", "snapshot_abandoned_total", "Snapshots given up because the store was too slow."),
      .counter("pauses", "snapshot_pauses_total", "How often copying waited for the store."),
      .counter("requests_refused", "snapshot_requests_refused_total", "SNAPSHOT commands beyond the bound."),
      .gauge(
        "side_bytes", "snapshot_side_bytes", "Memory of rows kept aside because they changed before they were saved."),
      .gauge(
        "last_duration_ms", "snapshot_last_duration_seconds", "From the cut to the manifest, of the last one.",
        in: .milliseconds),
      .gauge("under_way_rows", "snapshot_under_way_rows", "Rows copied of the snapshot that is being taken."),
      .gauge("under_way_of", "snapshot_under_way_expected_rows", "Rows that it will have."),
      .gauge("shard_files", "snapshot_shard_files", "Files of a shard's newest snapshot.", by: "shard"),
      .gauge("shard_bytes", "snapshot_shard_bytes", "Their size.", by: "shard"),
      .gauge(
        "shard_age_ms", "snapshot_shard_age_seconds", "Since it became durable, if that was in this life.",
        in: .milliseconds, by: "shard"),
      .gauge("shard_current", "snapshot_shard_current", "1 if nothing was learned since.", by: "shard"),
    ], MetricDescription.infoOnly("store", "last_failure", "under_way_shard", "shard_number"))

  private static let serverValidation: [MetricDescription] = [
    .counter(
      "examples", "validation_examples_total",
      "Examples predicted before they were learned, of the partitions that report to this server.", by: "task")
  ]

  /// What servers and trainers count of predictions, by task.
  static let validation: [MetricDescription] = [
    .gauge("auc", "validation_auc", "AUC of all predictions.", by: "task"),
    .gauge("logloss", "validation_logloss", "Logloss of all predictions.", by: "task"),
    .gauge(
      "normalized_entropy", "validation_normalized_entropy", "Logloss over that of the base rate, of all predictions.",
      by: "task"),
    .gauge("calibration", "validation_calibration_ratio", "Predicted over actual positives, of all.", by: "task"),
    .gauge("recent_examples", "validation_recent_examples", "Predictions in the window.", by: "task"),
    .gauge("recent_auc", "validation_recent_auc", "AUC over the window.", by: "task"),
    .gauge("recent_logloss", "validation_recent_logloss", "Logloss over the window.", by: "task"),
    .gauge(
      "recent_normalized_entropy", "validation_recent_normalized_entropy", "Normalized entropy over the window.",
      by: "task"),
    .gauge("recent_calibration", "validation_recent_calibration_ratio", "Calibration over the window.", by: "task"),
  ]
}
