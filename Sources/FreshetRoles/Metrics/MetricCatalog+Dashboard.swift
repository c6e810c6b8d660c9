extension MetricCatalog {
  static let dashboard: [MetricDescription] =
    MetricDescription.section(
      "dashboard",
      [
        .counter("answers", "answers_total", "Answers of processes that were asked for their state."),
        .counter("failures", "failures_total", "Questions to processes that were not answered."),
        .counter("log_failures", "log_failures_total", "Questions to Kafka that were not answered."),
        .gauge("titles", "titles", "Titles of items that are kept."),
        .counter("titles_left_out", "titles_left_out_total", "Items whose titles there was no room for."),
      ])
}
