import Synchronization

/// What an HTTP port has done since its start.
public struct HTTPServerStatistics: Sendable, Equatable {
  /// Requests with their head read and their reply not yet written.
  public var inHand = 0
  public var requests: UInt64 = 0
  /// Replies with a status of 200 … 399.
  public var succeeded: UInt64 = 0
  /// With a status of 400 … 499.
  public var refused: UInt64 = 0
  /// With a status of 500 or more.
  public var failed: UInt64 = 0
  public var bytesIn: UInt64 = 0
  public var bytesOut: UInt64 = 0
}

/// Counts what all connections of a port do. Safe from any thread.
final class HTTPServerCounters: Sendable {
  let bodyBytesInHand = Atomic<Int>(0)
  private let state = Mutex(HTTPServerStatistics())

  var statistics: HTTPServerStatistics { state.withLock { $0 } }

  func begin() {
    state.withLock {
      $0.inHand += 1
      $0.requests += 1
    }
  }

  func end() { state.withLock { $0.inHand -= 1 } }

  func read(_ count: Int) { state.withLock { $0.bytesIn += UInt64(count) } }

  /// Counts a reply that goes out.
  func reply(status: Int, bytes: Int) {
    state.withLock {
      switch status {
      case ..<400: $0.succeeded += 1
      case ..<500: $0.refused += 1
      default: $0.failed += 1
      }
      $0.bytesOut += UInt64(bytes)
    }
  }
}
