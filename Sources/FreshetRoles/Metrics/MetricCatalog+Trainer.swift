extension MetricCatalog {
  static let trainer: [MetricDescription] =
    MetricDescription.section(
      "training",
      [
        .counter("examples", "examples_total", "Examples in pushed batches, repetitions after a fault included."),
        .counter("batches", "batches_total", "Batches that were pushed."),
        .counter("claims", "claims_total", "Claims of partitions."),
        .counter("restarts", "restarts_total", "Claims that were given up for a fault, to be made again."),
        .counter("lost_offsets", "lost_offsets_total", "Offsets that Kafka deleted before they were learned."),
        .counter("examples_read", "read_examples_total", "Examples read from Kafka or the archive."),
        .counter("dead_letters", "dead_letters_total", "Records of the examples' topic that could not be used."),
        .counter(
          "waits_for_training", "reading_waits_total", "How often reading waited because training was behind."),
      ])
    + MetricDescription.section(
      "partitions",
      [
        .gauge("applied", "applied_offset", "Offset up to which all servers have acknowledged.", by: "partition"),
        .gauge("queued", "queued_examples", "Examples that are in no batch yet.", by: "partition"),
      ], MetricDescription.infoOnly("phase"))
    + MetricDescription.section(
      "latency",
      [
        .histogram(
          "round_trip", "round_trip_seconds", "From sending a pull or push to a server to its answer.", by: "command")
      ], MetricDescription.percentiles("pull_", "us"), MetricDescription.percentiles("push_", "us"))
    + MetricDescription.section(
      "freshness",
      [
        .histogram(
          "freshness", "freshness_seconds",
          "From an action's append to Kafka to the acknowledgement of its gradient by all servers.")
      ], MetricDescription.percentiles("", "ms"))
    + MetricDescription.section(
      "guard",
      [
        .gauge("held", "guard_held", "1 while training is held."),
        .counter("holds", "guard_holds_total", "How often it was."),
        .gauge("window", "guard_window_examples", "Predictions that are judged together."),
        .gauge("maximum_logloss", "guard_maximum_logloss", "Logloss beyond which training is held."),
        .gauge(
          "maximum_normalized_entropy", "guard_maximum_normalized_entropy",
          "Normalized entropy beyond which training is held."),
        .gauge("window_logloss", "guard_window_logloss", "What is judged, as far as the window is filled.", by: "task"),
      ], MetricDescription.infoOnly("reason"))
    + MetricDescription.section(
      "validation",
      [
        .counter("records_written", "validation_records_written_total", "Records in kafka.topics.validation."),
        .counter("records_failed", "validation_records_failed_total", "Those that the broker did not take."),
        .gauge(
          "examples", "validation_examples", "Examples predicted, of the trainer's partitions since it has them.",
          by: "task"),
      ], validation, slices)

  private static let slices: [MetricDescription] = ["", "recent_"].flatMap { period in
    let scope = period.isEmpty ? "of a slice" : "of a slice over the window"
    return [
      ("examples", "examples", "Predictions \(scope)."), ("auc", "auc", "AUC \(scope)."),
      ("logloss", "logloss", "Logloss \(scope)."),
      ("normalized_entropy", "normalized_entropy", "Normalized entropy \(scope)."),
      ("calibration", "calibration_ratio", "Calibration \(scope)."),
    ].map { key, name, help in
      MetricDescription.gauge(
        "slice_\(period)\(key)", "validation_slice_\(period)\(name)", help, by: "task", "slot", "value", "fid")
    }
  }
}
