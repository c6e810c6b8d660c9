extension MetricCatalog {
  static let archive: [MetricDescription] =
    MetricDescription.section(
      "archive",
      [
        .counter("records", "records_total", "Records in files that are in the store."),
        .counter("files", "files_total", "Those files."),
        .counter("stored_bytes", "stored_bytes_total", "Their size."),
        .gauge("open_records", "open_records", "Records read that are in a file which is not complete."),
        .counter("store_failures", "store_failures_total", "Files begun anew because the store failed."),
        .counter("store_retries", "store_retries_total", "Requests to a bucket that were made again."),
        .counter("lost_offsets", "lost_offsets_total", "Offsets that Kafka deleted before they were archived."),
      ])
    + MetricDescription.section(
      "partitions",
      [
        .gauge("archived", "archived_offset", "Everything below is in the store.", by: "topic", "partition"),
        .gauge(
          "open_records", "partition_open_records", "Records in the file that is not complete.", by: "topic",
          "partition"),
        .gauge("reading", "partition_reading", "0 while the store is waited for.", by: "topic", "partition"),
      ])
}
