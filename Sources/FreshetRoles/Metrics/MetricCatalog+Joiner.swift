extension MetricCatalog {
  static let joiner: [MetricDescription] =
    MetricDescription.section("join", joinCounters, joinGauges, MetricDescription.infoOnly("orphaned", "dead_lettered"))
    + MetricDescription.section(
      "state",
      [
        .gauge("state_memory_features", "state_memory_impressions", "Impressions that wait in memory."),
        .gauge("state_memory_bytes", "state_memory_bytes", "What they take."),
        .gauge("state_disk_features", "state_disk_impressions", "Impressions that wait on disk."),
        .gauge("state_disk_bytes", "state_disk_bytes", "Size of the state on disk."),
        .gauge("state_unwritten_bytes", "state_unwritten_bytes", "What is to be written behind the next commit."),
        .gauge(
          "state_full_partitions", "state_full_partitions", "Partitions that stand still because the disk is full."),
        .counter("state_full", "state_full_total", "How often a partition came to stand still for that."),
        .counter("state_writes", "state_writes_total", "Batches written to disk."),
        .counter("state_memory_hits", "state_memory_hits_total", "Actions whose impression was in memory."),
        .counter("state_disk_lookups", "state_disk_lookups_total", "Actions whose impression was looked up on disk."),
        .counter("state_disk_hits", "state_disk_hits_total", "Those of them that found it."),
      ])
    + MetricDescription.section(
      "join_delay",
      [.histogram("buckets", "join_delay_seconds", "Event time from impression to action, of actions that matched.")],
      MetricDescription.infoOnly("count", "sum_ms", "p50_ms", "p99_ms"))
    + MetricDescription.section(
      "dead_letters",
      [
        .counter("records", "dead_letters_total", "Records that could not be used.", by: "reason"),
        .counter("bad_items", "bad_items_total", "Records of items and enrichments that could not be used."),
      ])
    + MetricDescription.section(
      "partitions",
      [
        .counter("joined", "partition_joined_total", "Examples made of actions.", by: "partition"),
        .gauge(
          "stream_time_ms", "stream_time_seconds", "Event time that is joined, in seconds since 1970.",
          in: .milliseconds, by: "partition"),
        .gauge(
          "watermark_lag_ms", "event_time_lag_seconds", "How far it lies behind the clock.", in: .milliseconds,
          by: "partition"),
      ])

  private static let joinCounters: [MetricDescription] = [
    .counter("features", "features_total", "Impressions that were joined."),
    .counter("actions", "actions_total", "Actions that were joined."),
    .counter("matched", "matched_actions_total", "Actions that met their impression, other than duplicates."),
    .counter("joined", "joined_examples_total", "Examples made of actions, corrections included."),
    .counter("corrections", "corrections_total", "Those of them that take back what a window gave."),
    .counter("expired", "expired_impressions_total", "Impressions whose window passed without action."),
    .counter("negatives", "negative_examples_total", "Examples made of such impressions."),
    .counter(
      "negatives_dropped", "negatives_dropped_total", "Such impressions that the negative rate left without example."),
    .counter("duplicate_features", "duplicate_features_total", "Impressions that had been seen before."),
    .counter("duplicate_actions", "duplicate_actions_total", "Actions that had been seen before."),
    .counter("late", "late_actions_total", "Actions after their impression's window."),
    .counter("late_unchanged", "late_unchanged_actions_total", "Those of them that changed no label."),
    .counter("evicted_features", "evicted_impressions_total", "Impressions given up because too many waited."),
    .counter("unknown_items", "unknown_items_total", "Examples without the item's fields: the catalog had none."),
    .counter("unknown_enrichments", "unknown_enrichments_total", "Keys that an enrichment did not have."),
    .counter("item_refreshes", "item_refreshes_total", "How often joining waited until items were read to the end."),
    .counter("transactions", "transactions_total", "Transactions that were committed."),
    .counter("aborted_transactions", "aborted_transactions_total", "Transactions that were given up."),
  ]

  private static let joinGauges: [MetricDescription] = [
    .gauge("items", "items", "Items in the catalog."),
    .gauge("waiting_features", "waiting_impressions", "Impressions in memory that wait."),
    .gauge("waiting_actions", "waiting_actions", "Actions that wait for their impression."),
    .gauge("queued_records", "queued_records", "Records read and not yet joined."),
  ]
}
