import Foundation

/// A thread for blocking work, such as polling Kafka, that can be awaited.
enum WorkerThread {
  /// Runs `body` on a thread of its own and returns when it has returned.
  static func run(_ name: String, _ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { continuation in
      let thread = Thread {
        body()
        continuation.resume()
      }
      thread.name = name
      thread.stackSize = 1 << 20
      thread.start()
    }
  }
}
