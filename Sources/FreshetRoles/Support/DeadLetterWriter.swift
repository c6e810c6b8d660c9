import Foundation
import FreshetCore
import FreshetKafka

/// Sends records that cannot be used to the dead-letter topic, with the reason and where they came from.
///
/// One thread at a time. The record is JSON: `reason_code`, `reason`, `role`, `topic`, `partition`, `offset`, and `payload`
/// (text) or `payload_base64`.
public final class DeadLetterWriter {
  private let producer: KafkaProducer
  private let topic: KafkaProducerTopic
  private let role: String
  /// By reason code.
  public private(set) var counts: [String: Int] = [:]

  public init(_ configuration: KafkaConfiguration, topic: String, role: String) throws(KafkaError) {
    producer = try KafkaProducer(configuration)
    self.topic = try producer.topic(topic)
    self.role = role
  }

  public func write(
    code: String, reason: String, topic source: String, partition: PartitionID, offset: Offset,
    payload: UnsafeRawBufferPointer?
  ) throws(KafkaError) {
    counts[code, default: 0] += 1
    let record = Self.encode(
      code: code, reason: reason, role: role, topic: source, partition: partition, offset: offset, payload: payload)
    try producer.produce(self.topic, partition: nil, key: Array(source.utf8), value: record)
  }

  public func poll() { producer.poll(timeoutMs: 0) }

  public func flush(timeoutMs: Int) throws(KafkaError) { try producer.flush(timeoutMs: timeoutMs) }

  static func encode(
    code: String, reason: String, role: String, topic: String, partition: PartitionID, offset: Offset,
    payload: UnsafeRawBufferPointer?
  ) -> [UInt8] {
    var fields: [String: Any] = [
      "reason_code": code, "reason": reason, "role": role, "topic": topic, "partition": Int(partition.value),
      "offset": offset.value,
    ]
    if let payload {
      if let text = String(validating: payload, as: UTF8.self) {
        fields["payload"] = text
      } else {
        fields["payload_base64"] = Data(payload).base64EncodedString()
      }
    }
    guard
      let json = try? JSONSerialization.data(withJSONObject: fields, options: [.sortedKeys, .withoutEscapingSlashes])
    else { preconditionFailure("strings and integers are JSON") }
    return Array(json)
  }
}
