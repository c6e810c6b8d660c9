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
    var latency = RecentHistogram(highest: 600_000_000)
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
    let now = Instant.now()
    state.withLock { $0.latency.record(Int64((now.nanoseconds - start.nanoseconds) / 1_000), count: 1, now: now) }
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

  func info(sink: KafkaRecordSink, topics: [String]) -> InfoText {
    let now = Instant.now()
    let inFlight = sink.inFlight
    var info = InfoText()
    info.addProcess(role: "gateway", startedAt: startedAt, now: now)
    state.withLock { state in
      info.section("gateway")
      info.add("written", state.written.values.reduce(0, +), as: .counter)
      for topic in topics {
        info.add(
          "written_\(topic)", state.written[topic] ?? 0, as: .counter.named("written_to", of: ["topic": topic]))
      }
      info.add("written_bytes", state.bytes, as: .counter)
      info.add("unwritten", state.unwritten, as: .counter)
      info.add("uncertain", state.uncertain, as: .counter)
      info.add("in_flight_records", inFlight.records)
      info.add("in_flight_bytes", inFlight.bytes)
      info.add("invalid_requests", state.invalidRequests, as: .counter)
      info.add("invalid_records", state.invalidRecords, as: .counter)
      info.add("full_requests", state.fullRequests, as: .counter)
      info.add("too_large_requests", state.tooLargeRequests, as: .counter)
      info.add("other_refusals", state.otherRefusals, as: .counter)
      info.add("producer_replacements", sink.replacements, as: .counter)
      info.add(state.latency.summary, prefix: "latency_", unit: "us")
      info.add(state.latency.recent(now: now), prefix: "recent_latency_", unit: "us")
      if let http = state.http { info.add(http.statistics) }
    }
    return info
  }
}
