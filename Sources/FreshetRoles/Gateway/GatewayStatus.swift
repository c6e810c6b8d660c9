import FreshetCore
import FreshetHTTP
import FreshetKafka
import Synchronization

/// What the gateway has done since its start. Safe from any thread.
final class GatewayStatus: Sendable {
  private struct State {
    /// Records of each topic that the broker acknowledged.
    var written: [String: UInt64] = [:]
    var bytes: UInt64 = 0
    /// Records that certainly were not written, and those that nobody knows about.
    var unwritten: UInt64 = 0
    var uncertain: UInt64 = 0
    var invalidRequests: UInt64 = 0
    var invalidRecords: UInt64 = 0
    var fullRequests: UInt64 = 0
    var tooLargeRequests: UInt64 = 0
    var otherRefusals: UInt64 = 0
    /// Of requests that sent records, from the whole body to the last acknowledgement, in microseconds.
    var latency = RecentHistogram.latencies()
    var isRunning = false
    var isStopping = false
    var http: HTTPServer?
  }

  private let state = Mutex(State())
  private let startedAt = Instant.now()

  /// Notes what became of records.
  func note(_ records: [OutgoingRecord], _ deliveries: [KafkaDelivery]) {
    state.withLock { state in
      for (record, delivery) in zip(records, deliveries) {
        switch delivery {
        case .written:
          state.written[record.topic, default: 0] += 1
          state.bytes += UInt64(record.byteCount)
        case .failed(_, let mayBeWritten):
          if mayBeWritten { state.uncertain += 1 } else { state.unwritten += 1 }
        }
      }
    }
  }

  func note(latencyOf start: Instant) {
    state.withLock { $0.latency.record(since: start) }
  }

  /// Notes a request that was refused whole because of its records.
  func note(invalid records: Int) {
    state.withLock {
      $0.invalidRequests += 1
      $0.invalidRecords += UInt64(records)
    }
  }

  /// Notes a request that was refused whole for another reason.
  func note(refused status: Int) {
    state.withLock {
      switch status {
      case 413: $0.tooLargeRequests += 1
      case 429: $0.fullRequests += 1
      default: $0.otherRefusals += 1
      }
    }
  }

  /// Whether the broker has been reached and the topics are there.
  var isRunning: Bool { state.withLock { $0.isRunning } }
  func run() { state.withLock { $0.isRunning = true } }
  func stop() { state.withLock { $0.isStopping = true } }
  /// The port whose figures are told, too.
  func set(http: HTTPServer) { state.withLock { $0.http = http } }

  /// What the gateway waits for before it writes; nil if nothing.
  func notReady(directory: TopicDirectory) -> String? {
    let (isRunning, isStopping) = state.withLock { ($0.isRunning, $0.isStopping) }
    if isStopping { return "the gateway is stopping" }
    guard isRunning, directory.topics != nil else { return "the broker has not been reached yet" }
    return directory.failure
  }

  /// - Parameter notReady: As `notReady(directory:)` says.
  func info(sink: KafkaRecordSink, topics: [String], notReady: String?) -> InfoText {
    let inFlight = sink.inFlight
    var info = InfoText()
    info.addProcess(role: "gateway", startedAt: startedAt, now: .now())
    info.add(notReady: notReady)
    state.withLock { state in
      info.section("gateway")
      info.add("written", state.written.values.reduce(0, +))
      for topic in topics {
        info.add(
          "written_\(topic)", state.written[topic] ?? 0, as: .named("written_to", of: ["topic": topic]))
      }
      info.add("written_bytes", state.bytes)
      info.add("unwritten", state.unwritten)
      info.add("uncertain", state.uncertain)
      info.add("in_flight_records", inFlight.records)
      info.add("in_flight_bytes", inFlight.bytes)
      info.add("invalid_requests", state.invalidRequests)
      info.add("invalid_records", state.invalidRecords)
      info.add("full_requests", state.fullRequests)
      info.add("too_large_requests", state.tooLargeRequests)
      info.add("other_refusals", state.otherRefusals)
      info.add("producer_replacements", sink.replacements)
      info.add(state.latency, prefix: "latency_", unit: "us", as: .named("request_duration"))
      if let http = state.http { info.add(http.statistics) }
    }
    return info
  }
}
