import CRdKafka
import FreshetCore

/// Creates and describes topics, and finds out whether a broker answers. One thread at a time may use it.
public final class KafkaAdmin {
  let handle: ClientHandle
  private let context: AdminContext
  private let bootstrapServers: String

  public init(_ configuration: KafkaConfiguration) throws(KafkaError) {
    bootstrapServers = configuration.bootstrapServers
    context = AdminContext(log: configuration.log)
    handle = try ClientHandle(RD_KAFKA_PRODUCER, configuration, settings: [:], context: context)
  }

  /// One failed attempt to reach a broker.
  public struct Unreachable: Sendable {
    /// Failed attempts so far, from 1.
    public let attempt: Int
    /// Names the broker that was tried, or the bootstrap servers.
    public let error: KafkaError
    public let retryInMs: Int
  }

  /// Returns once a broker has answered.
  /// - Parameters:
  ///   - attemptMs: How long one attempt may take.
  ///   - onFailure: Called after each failed attempt; returning `false` gives up and throws that attempt's error.
  public func waitUntilReachable(
    attemptMs: Int, backoff: Backoff, onFailure: (Unreachable) -> Bool
  ) throws(KafkaError) {
    var backoff = backoff
    var attempt = 0
    while true {
      do throws(KafkaError) {
        _ = try metadata(timeoutMs: attemptMs)
        return
      } catch {
        attempt += 1
        // The reason of the failure ("connection refused") comes by the error callback.
        rd_kafka_poll(handle.pointer, 0)
        let cause = context.takeLastError() ?? error
        let broker = cause.broker ?? bootstrapServers
        let failure = KafkaError(
          cause.reason, "kafka broker \(broker) unreachable: \(cause.message)", broker: broker,
          errorCode: cause.errorCode, errorName: cause.errorName, isRetriable: true)
        let retryInMs = backoff.next()
        guard onFailure(Unreachable(attempt: attempt, error: failure, retryInMs: retryInMs)) else { throw failure }
        wait(milliseconds: retryInMs)
      }
    }
  }

  private func wait(milliseconds: Int) {
    let end = Instant.now().advanced(byMs: milliseconds)
    while true {
      let now = Instant.now()
      guard now < end else { return }
      rd_kafka_poll(handle.pointer, Int32(clamping: Int(end.milliseconds(since: now)) + 1))
    }
  }

  /// Every topic of the cluster with its number of partitions; internal ones have a name that starts with `__`.
  public func partitionCounts(timeoutMs: Int) throws(KafkaError) -> [String: Int] {
    try metadata(timeoutMs: timeoutMs)
  }

  /// The topic's number of partitions; `nil` if it does not exist.
  public func partitionCount(of topic: String, timeoutMs: Int) throws(KafkaError) -> Int? {
    // All topics are asked for: asking for one by name makes some brokers create it.
    try metadata(timeoutMs: timeoutMs)[topic]
  }

  /// Topics that the cluster shows without an error, with their partition counts.
  private func metadata(timeoutMs: Int) throws(KafkaError) -> [String: Int] {
    var answer: UnsafePointer<rd_kafka_metadata>?
    let error = rd_kafka_metadata(handle.pointer, 1, nil, &answer, Int32(clamping: timeoutMs))
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let answer else { throw KafkaError(error, doing: "read metadata") }
    defer { rd_kafka_metadata_destroy(answer) }
    var counts: [String: Int] = [:]
    for i in 0..<Int(answer.pointee.topic_cnt) {
      let topic = answer.pointee.topics[i]
      guard topic.err == RD_KAFKA_RESP_ERR_NO_ERROR, let name = topic.topic else { continue }
      counts[String(cString: name)] = Int(topic.partition_cnt)
    }
    return counts
  }
}

/// Keeps the last thing that went wrong.
private final class AdminContext: ClientContext, @unchecked Sendable {
  private var lastError: KafkaError?

  override func onError(_ error: KafkaError) {
    // "All brokers are down" says less than the broker's own error before it.
    if lastError?.broker != nil, error.broker == nil { return }
    lastError = error
  }

  func takeLastError() -> KafkaError? {
    defer { lastError = nil }
    return lastError
  }
}
