import CRdKafka

/// Owns an `rd_kafka_conf_t` until a client takes it over.
struct ClientConfiguration: ~Copyable {
  private(set) var pointer: OpaquePointer?

  /// - Parameter settings: The adapter's own; the user's properties are applied after them.
  init(_ configuration: KafkaConfiguration, settings: [String: String]) throws(KafkaError) {
    pointer = rd_kafka_conf_new()
    try set("bootstrap.servers", configuration.bootstrapServers)
    try set("client.id", configuration.clientID)
    for (name, value) in settings { try set(name, value) }
    for (name, value) in configuration.properties {
      if let instead = KafkaConfiguration.reserved[name] {
        throw KafkaError(.invalidProperty, "kafka property `\(name)` cannot be set: use \(instead)")
      }
      if name == "partition.assignment.strategy", value.contains("cooperative") {
        throw KafkaError(
          .invalidProperty, "kafka property `\(name)`: `\(value)` is not supported, use `range` or `roundrobin`")
      }
      try set(name, value)
    }
  }

  private func set(_ name: String, _ value: String) throws(KafkaError) {
    let (result, text) = withErrorText { rd_kafka_conf_set(pointer, name, value, $0, $1) }
    switch result {
    case RD_KAFKA_CONF_OK: return
    case RD_KAFKA_CONF_UNKNOWN:
      throw KafkaError(.invalidProperty, "unknown kafka property `\(name)`: \(text)")
    default:
      throw KafkaError(.invalidProperty, "kafka property `\(name)`: \(text)")
    }
  }

  /// Hands the configuration to a new client.
  consuming func makeClient(_ type: rd_kafka_type_t) throws(KafkaError) -> OpaquePointer {
    let (client, text) = withErrorText { rd_kafka_new(type, pointer, $0, $1) }
    guard let client else { throw KafkaError(.clientCreation, "cannot create a kafka client: \(text)") }
    pointer = nil
    return client
  }

  deinit {
    if let pointer { rd_kafka_conf_destroy(pointer) }
  }
}

/// Calls `body` with a buffer for an error text, and returns what it has put there.
func withErrorText<R>(_ body: (UnsafeMutablePointer<CChar>, Int) -> R) -> (R, String) {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
    buffer.initialize(repeating: 0)
    let result = body(buffer.baseAddress!, buffer.count)
    return (result, String(cString: buffer.baseAddress!))
  }
}
