import FreshetKafka

extension InfoText {
  /// How far a consumer's partitions have been read.
  mutating func add(_ lags: [ConsumerLag]) {
    section("lag")
    for lag in lags {
      add(
        "\(lag.partition.topic)_\(lag.partition.partition)", lag.records,
        as: .named("records", of: ["topic": lag.partition.topic, "partition": lag.partition.partition]))
    }
  }
}
