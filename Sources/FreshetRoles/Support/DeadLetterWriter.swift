import Foundation
import FreshetCore
import FreshetKafka

/// A record that could not be used, with the reason and where it came from.
///
/// As JSON: `reason_code`, `reason`, `role`, `topic`, `partition`, `offset`, and `payload` (text) or `payload_base64`.
struct DeadLetterRecord {
  let code: String
  let reason: String
  let role: String
  let topic: String
  let partition: PartitionID
  let offset: Offset
  let payload: [UInt8]?

  var json: [UInt8] {
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
    let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
    guard let json = try? JSONSerialization.data(withJSONObject: fields, options: options) else {
      preconditionFailure("strings and integers are JSON")
    }
    return Array(json)
  }
}

/// Sends records to the dead-letter topic outside any transaction, and counts them. One thread at a time.
final class DeadLetterWriter {
  private let producer: KafkaProducer
  private let topic: KafkaProducerTopic
  /// By reason code.
  private(set) var counts: [String: Int] = [:]

  init(_ configuration: KafkaConfiguration, topic: String) throws(KafkaError) {
    producer = try KafkaProducer(configuration)
    self.topic = try producer.topic(topic)
  }

  func write(_ record: DeadLetterRecord) throws(KafkaError) {
    counts[record.code, default: 0] += 1
    try producer.produce(topic, partition: nil, key: Array(record.topic.utf8), value: record.json)
  }

  func poll() { producer.poll(timeoutMs: 0) }

  func flush(timeoutMs: Int) throws(KafkaError) { try producer.flush(timeoutMs: timeoutMs) }
}
