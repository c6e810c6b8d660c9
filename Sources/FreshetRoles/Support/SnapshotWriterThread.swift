import Foundation
import FreshetCluster
import FreshetCore
import Synchronization

/// The thread on which snapshots are compressed and written. Takes what a `SnapshotKeeper` wants done, in order.
///
/// What waits for it is bounded by the keeper: `SnapshotSettings.partsInFlight` parts and a few actions without data.
final class SnapshotWriterThread: Sendable {
  private enum Item: Sendable {
    case action(SnapshotAction)
    case end
  }

  /// A snapshot has time; a push has not. On an idle core it is as fast as ever.
  private static let niceness: Int32 = 10

  private let items = Mutex<[Item]>([])
  private let arrived = DispatchSemaphore(value: 0)

  /// - Parameters:
  ///   - onEvent: Called on the thread with what the keeper is to be told.
  ///   - onEnd: Called on the thread, last.
  init(
    store: any FileStore, compressor: any BlockCompressor, onEvent: @escaping @Sendable (SnapshotEvent) -> Void,
    onEnd: @escaping @Sendable () -> Void
  ) {
    let thread = Thread { [self] in
      ThreadSchedule.giveWay(niceness: Self.niceness)
      let writer = SnapshotFileWriter(store: store, compressor: compressor)
      while case .action(let action) = next() {
        if let event = writer.perform(action) { onEvent(event) }
      }
      writer.abandon()
      onEnd()
    }
    thread.name = "snapshot"
    thread.stackSize = 1 << 20
    thread.start()
  }

  func perform(_ action: SnapshotAction) { add(.action(action)) }

  /// Ends the thread after what it was given before; an unfinished file is taken back.
  func end() { add(.end) }

  private func add(_ item: Item) {
    items.withLock { $0.append(item) }
    arrived.signal()
  }

  private func next() -> Item {
    arrived.wait()
    return items.withLock { $0.removeFirst() }
  }
}
