import CRdKafka
import FreshetCore
import FreshetKafka

/// librdkafka's mock cluster: real sockets, brokers in threads of this process.
/// @unchecked: librdkafka's mock functions lock for themselves.
final class MockCluster: @unchecked Sendable {
  private let client: OpaquePointer
  private let cluster: OpaquePointer
  let bootstrapServers: String

  /// Request types as the protocol numbers them.
  enum Request: Int16 {
    case produce = 0
    case commitOffsets = 8
    case initProducerID = 22
    case addPartitionsToTransaction = 24
    case addOffsetsToTransaction = 25
    case endTransaction = 26
  }

  init(brokers: Int = 1, topics: [String: Int]) {
    client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), nil, 0)
    cluster = rd_kafka_mock_cluster_new(client, Int32(brokers))
    bootstrapServers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
    for (name, partitions) in topics { rd_kafka_mock_topic_create(cluster, name, Int32(partitions), 1) }
  }

  deinit {
    rd_kafka_mock_cluster_destroy(cluster)
    rd_kafka_destroy(client)
  }

  func configuration(
    _ properties: [String: String] = [:], log: (@Sendable (KafkaLogLine) -> Void)? = nil
  ) -> KafkaConfiguration {
    KafkaConfiguration(bootstrapServers: bootstrapServers, properties: properties, log: log)
  }

  /// All brokers close their connections and accept none.
  func goDown() { rd_kafka_mock_broker_set_down(cluster, -1) }
  func comeBack() { rd_kafka_mock_broker_set_up(cluster, -1) }

  /// The next requests of that type fail, one error each.
  func fail(_ request: Request, with errors: [rd_kafka_resp_err_t]) {
    rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, errors.count, errors)
  }
}
