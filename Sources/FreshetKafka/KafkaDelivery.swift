import CRdKafka
import FreshetCore

/// What became of one record.
public enum KafkaDelivery: Sendable {
  /// The broker has acknowledged it.
  case written(PartitionID, Offset)
  /// It has not been acknowledged.
  /// - Parameter mayBeWritten: It was sent, and the broker may have it all the same; false if it certainly does not.
  case failed(KafkaError, mayBeWritten: Bool)
}

extension KafkaDelivery {
  init(_ message: UnsafePointer<rd_kafka_message_t>) {
    let report = message.pointee
    let partition = PartitionID(report.partition)
    guard report.err != RD_KAFKA_RESP_ERR_NO_ERROR else {
      self = .written(partition, Offset(report.offset))
      return
    }
    let error = KafkaError(
      report.err, doing: "write to", fallback: .deliveryFailed,
      topic: report.rkt.map { String(cString: rd_kafka_topic_name($0)) },
      partition: report.partition < 0 ? nil : partition, isRetriable: Self.isGivenUp(report.err) ? true : nil)
    self = .failed(error, mayBeWritten: rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
  }

  /// The producer stopped trying; another attempt may succeed.
  private static func isGivenUp(_ error: rd_kafka_resp_err_t) -> Bool {
    error == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT || error == RD_KAFKA_RESP_ERR__PURGE_QUEUE
      || error == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
  }
}
