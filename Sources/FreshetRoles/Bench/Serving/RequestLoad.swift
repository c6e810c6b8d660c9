import FreshetCore
import FreshetNet
import FreshetWire
import Histogram
import NIOCore

/// What requests are sent over, on the event loop of a `RequestLoad`.
protocol LoadConnection: AnyObject {
  var isConnected: Bool { get }

  /// Sends a request that has been encoded before.
  /// - Parameter completion: Called exactly once, on the event loop, after `exchange` has returned.
  func exchange(_ request: ByteBuffer, _ completion: @escaping (Result<Void, WireError>) -> Void)
}

extension RESPClient: LoadConnection {
  func exchange(_ request: ByteBuffer, _ completion: @escaping (Result<Void, WireError>) -> Void) {
    send(encoded: request) { completion($0.map { _ in }) }
  }
}

/// Sends requests over some connections and takes their latencies. Belongs to one event loop.
///
/// With a rate, requests leave when they are due, whether the earlier ones have been answered or not, and a latency counts
/// from the time that the request was due: a server that stalls is charged for every request that waited meanwhile. Without
/// one, each connection keeps `pipeline` requests under way.
final class RequestLoad {
  struct Settings {
    /// Requests a second; nil sends as many as are answered.
    var rate: Double?
    var pipeline: Int
    var warmUpSeconds: Double
    var seconds: Double
  }

  struct Outcome {
    /// Nanoseconds, of requests that were due after the warm-up.
    var latencies = Histogram<UInt64>(highestTrackableValue: 600_000_000_000, numberOfSignificantValueDigits: .three)
    var errors = 0
    var firstError: WireError?
    /// From the end of the warm-up to the last reply.
    var seconds = 0.0

    /// A percentile of the latencies.
    func microseconds(_ percent: Double) -> Double {
      Double(min(latencies.maxRecorded, latencies.valueAtPercentile(percent))) / 1000
    }

    var requestsPerSecond: Double { seconds > 0 ? Double(latencies.totalCount) / seconds : 0 }
  }

  private let settings: Settings
  private let clients: [any LoadConnection]
  private let requests: [ByteBuffer]
  private let loop: any EventLoop
  private let promise: EventLoopPromise<Void>
  private var outcome = Outcome()
  private var start = Instant.now()
  private var measuredFrom = Instant.now()
  private var end = Instant.now()
  private var sent = 0
  private var underWay = 0
  private var isFinished = false

  /// - Parameters:
  ///   - clients: Connections of this loop.
  ///   - requests: Encoded; sent in turn.
  init(_ settings: Settings, clients: [any LoadConnection], requests: [ByteBuffer], loop: any EventLoop) {
    precondition(!clients.isEmpty && !requests.isEmpty)
    self.settings = settings
    self.clients = clients
    self.requests = requests
    self.loop = loop
    promise = loop.makePromise()
  }

  /// - Returns: When the last reply has come.
  func run() -> EventLoopFuture<Outcome> {
    start = .now()
    measuredFrom = start.advanced(bySeconds: settings.warmUpSeconds)
    end = measuredFrom.advanced(bySeconds: settings.seconds)
    if let rate = settings.rate {
      sendDue(rate)
    } else {
      for client in clients {
        for _ in 0..<settings.pipeline { sendNext(client) }
      }
    }
    let bound = NIOLoopBound(self, eventLoop: loop)
    return promise.futureResult.map {
      let load = bound.value
      load.outcome.seconds = Instant.now().milliseconds(since: load.measuredFrom) / 1000
      return load.outcome
    }
  }

  private func sendDue(_ rate: Double) {
    let now = Instant.now()
    while true {
      let due = start.advanced(bySeconds: Double(sent) / rate)
      guard due < end else { return finishIfDone(now) }
      guard due <= now else {
        let wait = TimeAmount.nanoseconds(Int64(due.nanoseconds - now.nanoseconds))
        loop.assumeIsolated().scheduleTask(in: wait) { self.sendDue(rate) }
        return
      }
      send(clients[sent % clients.count], due: due) { load in load.finishIfDone(.now()) }
    }
  }

  private func sendNext(_ client: any LoadConnection) {
    let now = Instant.now()
    guard now < end, client.isConnected else { return finishIfDone(now) }
    send(client, due: now) { load in load.sendNext(client) }
  }

  private func send(_ client: any LoadConnection, due: Instant, then: @escaping (RequestLoad) -> Void) {
    let request = requests[sent % requests.count]
    sent += 1
    underWay += 1
    client.exchange(request) { result in
      self.underWay -= 1
      self.note(result, due: due)
      then(self)
    }
  }

  private func note(_ result: Result<Void, WireError>, due: Instant) {
    switch result {
    case .success:
      guard due >= measuredFrom else { return }
      outcome.latencies.record(Instant.now().nanoseconds - due.nanoseconds)
    case .failure(let error):
      outcome.errors += 1
      if outcome.firstError == nil { outcome.firstError = error }
    }
  }

  private func finishIfDone(_ now: Instant) {
    let isOver = settings.rate.map { start.advanced(bySeconds: Double(sent) / $0) >= end } ?? true
    guard isOver && underWay == 0 && !isFinished else { return }
    isFinished = true
    promise.succeed()
  }
}

extension Instant {
  func advanced(bySeconds seconds: Double) -> Instant { Instant(nanoseconds: nanoseconds + UInt64(seconds * 1e9)) }
}
