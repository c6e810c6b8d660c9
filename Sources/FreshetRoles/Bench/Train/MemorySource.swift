import FreshetCluster
import FreshetCore
import FreshetModel
import NIOConcurrencyHelpers

/// One partition of `examples` that lies in memory, in place of the thread that reads Kafka.
final class MemorySource: ExampleSource {
  static let partition = PartitionID(0)
  /// Blocks that the trainer has and has not taken up.
  private static let blocksAhead = 2

  private struct State {
    var attempt: UInt64 = 0
    var next = 0
    var outstanding = 0
  }

  private let log: TrainingLog
  private let state = NIOLockedValueBox(State())
  private let deliver: @Sendable (ExampleFeed.Event) -> Void
  private let finished: @Sendable () -> Void

  /// - Parameters:
  ///   - deliver: Takes what the trainer is to be told; it may come during a `send`.
  ///   - finished: Called when all servers have acknowledged the last example.
  init(
    _ log: TrainingLog, deliver: @escaping @Sendable (ExampleFeed.Event) -> Void,
    finished: @escaping @Sendable () -> Void
  ) {
    self.log = log
    self.deliver = deliver
    self.finished = finished
  }

  var statistics: ExampleFeed.Statistics { ExampleFeed.Statistics(examplesRead: log.count) }

  func send(_ command: ExampleFeed.Command) {
    switch command {
    case .locate(let partition, let attempt):
      deliver(.located(partition, attempt: attempt, start: Offset(0), end: Offset(Int64(log.count))))
    case .fetch(_, let attempt, let from):
      precondition(from == Offset(0), "a new cluster has learned nothing")
      state.withLockedValue { $0 = State(attempt: attempt) }
      fill()
    case .consumed(_, let attempt, let count):
      state.withLockedValue { if $0.attempt == attempt { $0.outstanding -= count } }
      fill()
    case .commit(_, let offset): if offset.value == Int64(log.count) { finished() }
    case .fetchPass: preconditionFailure("there are no passes")
    case .stop: break
    }
  }

  private func fill() {
    while true {
      let next: (attempt: UInt64, block: ExampleBatch)? = state.withLockedValue { state in
        guard state.next < log.blocks.count, state.outstanding < Self.blocksAhead * log.blocks[0].count else {
          return nil
        }
        let block = log.blocks[state.next]
        state.next += 1
        state.outstanding += block.count
        return (state.attempt, block)
      }
      guard let next else { return }
      deliver(.examples(Self.partition, attempt: next.attempt, next.block))
    }
  }
}
