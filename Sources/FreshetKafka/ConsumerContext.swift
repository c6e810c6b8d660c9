import CRdKafka
import FreshetCore

/// Collects what librdkafka tells a consumer from inside a poll, each with its place among the records of that poll.
final class ConsumerContext: ClientContext, @unchecked Sendable {
  enum Happening {
    case assign([KafkaTopicPartition])
    case revoke([KafkaTopicPartition], lost: Bool)
    case error(KafkaError)
  }

  typealias Slots = UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>

  /// `recordsBefore` counts the records of the poll that came before.
  private(set) var happenings: [(recordsBefore: Int, what: Happening)] = []
  private var next = 0
  /// Where the running poll puts its records, filled from the front, `nil` beyond.
  var slots: Slots?
  /// librdkafka's blocking poll is running: it is to return as soon as something has happened.
  var isWaiting = false
  /// Nobody will handle a rebalance any more.
  var isClosing = false

  override func onError(_ error: KafkaError) { note(.error(error)) }

  override func onRebalance(
    _ error: rd_kafka_resp_err_t, _ partitions: [KafkaTopicPartition], client: OpaquePointer
  ) {
    if isClosing {
      rd_kafka_assign(client, nil)
    } else if error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
      note(.assign(partitions))
    } else if error == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
      note(.revoke(partitions, lost: rd_kafka_assignment_lost(client) != 0))
    } else {
      rd_kafka_assign(client, nil)
      note(.error(KafkaError(error, doing: "rebalance")))
    }
    if isWaiting { rd_kafka_yield(client) }
  }

  private func note(_ what: Happening) {
    guard !isClosing else { return }
    // The running poll fills its slots from the front, so the first empty one tells how far it is.
    let recordsBefore = slots.map { slots in slots.firstIndex { $0 == nil } ?? slots.count } ?? 0
    happenings.append((recordsBefore, what))
  }

  /// The next thing that happened before the record at `index` of this poll.
  func takeHappening(before index: Int) -> Happening? {
    guard next < happenings.count, happenings[next].recordsBefore <= index else { return nil }
    next += 1
    let what = happenings[next - 1].what
    if next == happenings.count {
      happenings.removeAll(keepingCapacity: true)
      next = 0
    }
    return what
  }

  /// The poll is over: what has not been taken comes first in the next one.
  func endPoll() {
    slots = nil
    for i in happenings.indices { happenings[i].recordsBefore = 0 }
  }
}
