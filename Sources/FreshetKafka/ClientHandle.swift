import CRdKafka
import FreshetCore

/// What librdkafka's callbacks find behind their opaque pointer.
///
/// The handle keeps it alive until after `rd_kafka_destroy` has returned, so a callback never sees a dead one.
/// @unchecked: `log` is the only member that librdkafka's own threads reach, and it is immutable and `Sendable`. All
/// the rest is touched by callbacks that run inside a call of the one thread that uses the client.
class ClientContext: @unchecked Sendable {
  let log: (@Sendable (KafkaLogLine) -> Void)?

  init(log: (@Sendable (KafkaLogLine) -> Void)?) { self.log = log }

  /// A broker or the whole client is in trouble. Called from within a poll.
  func onError(_ error: KafkaError) {}
  func onDelivery(_ message: UnsafePointer<rd_kafka_message_t>) {}
  func onRebalance(_ error: rd_kafka_resp_err_t, _ partitions: [KafkaTopicPartition], client: OpaquePointer) {}

  static func of(_ opaque: UnsafeMutableRawPointer) -> ClientContext {
    Unmanaged<ClientContext>.fromOpaque(opaque).takeUnretainedValue()
  }
}

/// Owns one `rd_kafka_t` and the context of its callbacks.
struct ClientHandle: ~Copyable {
  let pointer: OpaquePointer
  private let context: ClientContext

  /// - Parameter fetchPauseMs: Of a consumer: see `FetchPacing`.
  init(
    _ type: rd_kafka_type_t, _ configuration: KafkaConfiguration, settings: [String: String], context: ClientContext,
    fetchPauseMs: Int? = nil
  ) throws(KafkaError) {
    let prepared = try ClientConfiguration(configuration, settings: settings)
    let conf = prepared.pointer
    if let conf, let fetchPauseMs { FetchPacing.install(on: conf, pauseMs: fetchPauseMs) }
    rd_kafka_conf_set_opaque(conf, Unmanaged.passUnretained(context).toOpaque())
    rd_kafka_conf_set_log_cb(conf) { client, level, facility, text in
      guard let client, let opaque = rd_kafka_opaque(client), let log = ClientContext.of(opaque).log else { return }
      let tag = facility.map { String(cString: $0) } ?? ""
      log(KafkaLogLine(level: Int(level), facility: tag, message: text.map { String(cString: $0) } ?? ""))
    }
    rd_kafka_conf_set_error_cb(conf) { client, code, text, opaque in
      guard let client, let opaque else { return }
      ClientContext.of(opaque).onError(ClientHandle.clientError(client, code, text))
    }
    if type == RD_KAFKA_PRODUCER {
      rd_kafka_conf_set_dr_msg_cb(conf) { _, message, opaque in
        guard let message, let opaque else { return }
        ClientContext.of(opaque).onDelivery(message)
      }
    } else {
      rd_kafka_conf_set_rebalance_cb(conf) { client, error, list, opaque in
        guard let client, let opaque else { return }
        let partitions = list.map { PartitionList.topicPartitions($0) } ?? []
        ClientContext.of(opaque).onRebalance(error, partitions, client: client)
      }
      rd_kafka_conf_set_offset_commit_cb(conf) { _, error, list, opaque in
        guard let opaque, error != RD_KAFKA_RESP_ERR_NO_ERROR, error != RD_KAFKA_RESP_ERR__NO_OFFSET else { return }
        let first = list.flatMap { PartitionList.topicPartitions($0).first }
        ClientContext.of(opaque).onError(
          KafkaError(
            error, doing: "commit", fallback: .commitFailed, topic: first?.topic, partition: first?.partition))
      }
    }
    pointer = try prepared.makeClient(type)
    self.context = context
  }

  private static func clientError(_ client: OpaquePointer, _ code: Int32, _ text: UnsafePointer<CChar>?) -> KafkaError {
    let detail = text.map { String(cString: $0) }
    let error = rd_kafka_resp_err_t(rawValue: code)
    guard error == RD_KAFKA_RESP_ERR__FATAL else {
      let place = detail.flatMap(KafkaError.topicPartition(in:))
      return KafkaError(
        error, doing: "kafka", detail: detail, topic: place?.topic, partition: place?.partition)
    }
    return fatalError(of: client) ?? KafkaError(error, doing: "kafka", detail: detail, isFatal: true)
  }

  /// The error that has made the client unusable, if there is one.
  static func fatalError(of client: OpaquePointer) -> KafkaError? {
    let (error, text) = withErrorText { rd_kafka_fatal_error(client, $0, $1) }
    guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
    return KafkaError(error, doing: "kafka client is unusable", detail: text, isRetriable: false, isFatal: true)
  }

  deinit {
    rd_kafka_destroy(pointer)
    // The context lives in this handle, so it outlives the last callback, which `rd_kafka_destroy` has waited for.
    withExtendedLifetime(context) {}
  }
}
