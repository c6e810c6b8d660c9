import CRdKafka
import FreshetCore

/// Collects what librdkafka reports to a producer.
final class ProducerContext: ClientContext, @unchecked Sendable {
  var handler: ((KafkaError) -> Void)?
  private(set) var failed = 0
  private var failedSinceFlush = 0
  private var firstFailure: KafkaError?

  override func onError(_ error: KafkaError) { handler?(error) }

  override func onDelivery(_ message: UnsafePointer<rd_kafka_message_t>) {
    let report = message.pointee
    guard report.err != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    let error = KafkaError(
      report.err, doing: "deliver to", fallback: .deliveryFailed,
      topic: report.rkt.map { String(cString: rd_kafka_topic_name($0)) },
      partition: report.partition < 0 ? nil : PartitionID(report.partition))
    failed += 1
    failedSinceFlush += 1
    if firstFailure == nil { firstFailure = error }
    handler?(error)
  }

  /// Throws the first failure since the last call, and forgets them all.
  func throwFailures() throws(KafkaError) {
    guard let first = firstFailure else { return }
    let count = failedSinceFlush
    forgetFailures()
    throw KafkaError(
      .deliveryFailed, "\(count) records not delivered, the first: \(first.message)", topic: first.topic,
      partition: first.partition, broker: first.broker, errorCode: first.errorCode, errorName: first.errorName,
      isRetriable: first.isRetriable, isFatal: first.isFatal)
  }

  func forgetFailures() {
    firstFailure = nil
    failedSinceFlush = 0
  }
}
