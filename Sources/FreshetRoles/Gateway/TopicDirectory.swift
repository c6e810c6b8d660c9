import Foundation
import FreshetCore
import FreshetKafka
import Logging
import Synchronization

/// Keeps what the cluster says of the gateway's topics, asked for again every few seconds.
final class TopicDirectory: TopicSource {
  private struct State {
    var topics: [String: KafkaTopicDescription]?
    /// Of the last time that the cluster was asked.
    var failure: String?
  }

  private static let refreshMs = 5_000
  private static let callTimeoutMs = 5_000
  private static let waitSeconds = 0.05

  private let kafka: KafkaConfiguration
  private let names: Set<String>
  private let logger: Logger
  private let state = Mutex(State())

  init(_ kafka: KafkaConfiguration, topics: [String], logger: Logger) {
    self.kafka = kafka
    names = Set(topics)
    self.logger = logger
  }

  var topics: [String: KafkaTopicDescription]? { state.withLock { $0.topics } }
  /// Why the cluster could not be asked the last time; nil if it answered.
  var failure: String? { state.withLock { $0.failure } }

  /// Asks as soon as `isReady`, and then again and again until `isStopped`. Blocks.
  func run(isReady: () -> Bool, isStopped: () -> Bool) throws {
    let admin = try KafkaAdmin(kafka)
    while !isReady() && !isStopped() { Thread.sleep(forTimeInterval: Self.waitSeconds) }
    while !isStopped() {
      refresh(admin)
      let next = Instant.now().advanced(byMs: Self.refreshMs)
      while Instant.now() < next && !isStopped() { Thread.sleep(forTimeInterval: Self.waitSeconds) }
    }
  }

  private func refresh(_ admin: KafkaAdmin) {
    do throws(KafkaError) {
      let topics = try admin.describe(names, timeoutMs: Self.callTimeoutMs)
      state.withLock { $0 = State(topics: topics, failure: nil) }
    } catch {
      logger.warning("topics cannot be looked up: \(error.message)")
      state.withLock { $0.failure = error.message }
    }
  }
}
