import FreshetCore

/// The section `gateway`: the HTTP port through which records go to Kafka.
public struct GatewayConfiguration: Sendable {
  /// Where the gateway listens if nothing says otherwise; Confluent REST Proxy's own port.
  static let standardPort = 8082

  /// The interface to listen on. Default: 127.0.0.1.
  public var host: String
  /// The HTTP port; nil for none in `freshet up`, and 8082 in `freshet gateway`. Default: nil.
  public var port: Int?
  /// The port for PING and INFO; 0 opens none. Default: 7500.
  public var statusPort: Int
  /// What may be written by topic name; empty for the cluster's inputs. Default: none.
  public var topics: [String]
  /// After that a record that the broker has not acknowledged is given up. Default: 5000.
  public var timeoutMs: Int
  /// A larger request is refused. Default: 8 MiB.
  public var maxBodyBytes: Int
  /// What may be on its way to Kafka; requests beyond it are refused. Default: 50,000 records of 64 MiB.
  var bounds: ProduceLedger.Bounds

  /// `topics`, or those that the cluster reads.
  func writableTopics(of cluster: KafkaSettings.Topics) -> [String] {
    topics.isEmpty ? [cluster.features, cluster.actions, cluster.items] + cluster.enrichments : topics
  }
}

extension GatewayConfiguration {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    host = try section.string("host", default: "127.0.0.1")
    port = try section.optionalInt("port", in: 1...65_535)
    statusPort = try section.int("status_port", default: 7500, in: 0...65_535)
    let names = try section.strings("topics", default: [])
    if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw section.error("topics", "`\(twice)` is named twice")
    }
    topics = names
    timeoutMs = try section.int("timeout_ms", default: 5_000, in: 100...600_000)
    maxBodyBytes = try section.int("max_body_bytes", default: 8 << 20, in: 1024...1 << 28)
    bounds = ProduceLedger.Bounds(
      records: try section.int("max_records_in_flight", default: 50_000, in: 1...1_000_000),
      bytes: try section.int("max_bytes_in_flight", default: 64 << 20, in: 1024...1 << 32))
    guard bounds.bytes >= maxBodyBytes else {
      throw section.error("max_bytes_in_flight", "\(bounds.bytes) is less than max_body_bytes, \(maxBodyBytes)")
    }
    try section.finish()
  }
}

extension KafkaSettings {
  /// Of key and value together: what librdkafka lets through.
  var maxRecordBytes: Int { properties["message.max.bytes"].flatMap { Int($0) } ?? 1_000_000 }
}

extension FreshetConfiguration {
  /// Throws if the gateway is to write what only Freshet's own roles may.
  func checkGateway(_ file: String) throws(ConfigurationError) {
    let topics = kafka.topics
    for name in [topics.examples, topics.deadLetter, topics.validation].compactMap({ $0 })
    where gateway.topics.contains(name) {
      throw ConfigurationError(
        file: file, line: nil, key: "gateway.topics", reason: "`\(name)` is written by Freshet's own roles alone")
    }
  }
}
