extension MetricCatalog {
  static let gateway: [MetricDescription] =
    MetricDescription.section(
      "gateway",
      [
        .counter("written_to", "written_records_total", "Records that the broker acknowledged.", by: "topic"),
        .counter("written_bytes", "written_bytes_total", "Keys and values of records that the broker acknowledged."),
        .counter("unwritten", "unwritten_records_total", "Records that certainly were not written."),
        .counter(
          "uncertain", "uncertain_records_total", "Records that were not acknowledged in time and may be written."),
        .gauge("in_flight_records", "in_flight_records", "Records on their way to the broker."),
        .gauge("in_flight_bytes", "in_flight_bytes", "Keys and values on their way, and bodies in hand."),
        .counter(
          "invalid_requests", "invalid_requests_total", "Requests that were refused whole because of their records."),
        .counter("invalid_records", "invalid_records_total", "Records that were the reason."),
        .counter("full_requests", "full_requests_total", "Requests answered with 429: too much was on its way."),
        .counter("too_large_requests", "too_large_requests_total", "Requests answered with 413."),
        .counter("other_refusals", "other_refusals_total", "Requests that were refused for another reason."),
        .counter("producer_replacements", "producer_replacements_total", "Producers that a new one took the place of."),
        .histogram(
          "request_duration", "request_duration_seconds",
          "From the whole body of a request with records to the last acknowledgement."),
      ], MetricDescription.infoOnly("written"), MetricDescription.percentiles("latency_", "us"))
}
