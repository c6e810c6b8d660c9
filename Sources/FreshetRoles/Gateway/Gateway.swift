import FreshetCore
import FreshetHTTP
import FreshetKafka
import NIOCore

/// The gateway's HTTP: turns requests into records for a `RecordSink`, and what became of them into replies.
struct Gateway: Sendable {
  let proxy: RestProxy
  let sink: any RecordSink
  /// Topic of each kind of event.
  let eventTopics: [EventKind: String]
  let validators: ValidatorPool
  /// In one request.
  let maxRecords: Int
  /// nil asks nobody.
  let credentials: HTTPCredentials?
  let status: GatewayStatus
  let clock: @Sendable () -> UnixTime
  let report: @Sendable () async throws -> RoleReport

  func answer(_ request: HTTPRequest) async -> HTTPReply {
    let isProxy = GatewayRoute.isProxy(request.segments.first)
    do throws(HTTPFailure) {
      if let reply = try await MetricsPort.answer(request, credentials, report: report) { return reply }
      let route = try GatewayRoute(request.segments)
      try credentials?.check(request)
      switch route {
      case .openAPI:
        try request.requireRead()
        return HTTPReply(status: 200, contentType: "application/json", body: GatewayOpenAPI.json(topics: proxy.names))
      case .topics(let topics): return await answer(request, topics)
      case .events(let kind):
        try request.requirePost()
        return await write(request, kind)
      }
    } catch {
      status.note(refused: error.kind.status)
      return isProxy ? RestFailure(error).reply : error.reply
    }
  }

  /// What is refused before it gets here, such as a body that is too large.
  func refuse(_ failure: HTTPFailure, path: String) -> HTTPReply {
    let isProxy = GatewayRoute.isProxy(path.split(separator: "/", maxSplits: 1).first.map(String.init))
    status.note(refused: RestFailure(failure).status)
    guard !isProxy else { return RestFailure(failure).reply }
    return (failure.kind == .busy ? HTTPFailure(.full, failure.message) : failure).reply
  }

  private func answer(_ request: HTTPRequest, _ route: GatewayRoute.Topics) async -> HTTPReply {
    let start = Instant.now()
    do throws(RestFailure) {
      let reply = try await proxy.answer(request, route)
      if request.method == "POST" { status.note(latencyOf: start) }
      return reply
    } catch {
      status.note(refused: error.status)
      return error.reply
    }
  }

  private func write(_ request: HTTPRequest, _ kind: EventKind) async -> HTTPReply {
    let start = Instant.now()
    let events: EventRequest
    do throws(EventRequest.Failure) {
      events = try EventRequest(
        request.body, kind, topic: eventTopics[kind]!, maxRecords: maxRecords, now: clock(), validators)
    } catch {
      switch error {
      case .unreadable(let failure):
        status.note(refused: failure.kind.status)
        return failure.reply
      case .invalid(let invalid):
        status.note(invalid: invalid.problems.count)
        return EventReply.invalid(invalid)
      }
    }
    do throws(WriteRefusal) {
      let deliveries = try await sink.write(events.records)
      status.note(latencyOf: start)
      return EventReply.deliveries(deliveries)
    } catch {
      let failure = HTTPFailure(error)
      status.note(refused: failure.kind.status)
      return failure.reply
    }
  }
}
