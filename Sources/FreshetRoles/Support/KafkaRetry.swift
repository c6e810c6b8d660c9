import Foundation
import FreshetCore
import FreshetKafka
import Logging

/// Calls that a broker may refuse for a while.
enum KafkaRetry {
  /// Tries again, with backoff, while the broker says that it may work later. For threads that may wait.
  /// - Throws: The first failure that is for good or asks for an abort, and the last one when stopped.
  static func run<T>(
    _ what: String, logger: Logger, isStopped: () -> Bool, _ body: () throws(KafkaError) -> T
  ) throws -> T {
    var backoff = Backoff(baseMs: 100, capMs: 2_000, seed: UInt64.random(in: 0 ... .max))
    while true {
      do throws(KafkaError) {
        return try body()
      } catch {
        guard error.isRetriable, !error.requiresAbort, !isStopped() else { throw error }
        let waitMs = backoff.next()
        logger.warning("\(what): \(error); trying again", metadata: ["wait_ms": "\(waitMs)"])
        Thread.sleep(forTimeInterval: Double(waitMs) / 1000)
      }
    }
  }
}
