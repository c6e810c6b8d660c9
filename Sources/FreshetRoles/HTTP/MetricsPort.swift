import FreshetCore
import FreshetHTTP
import Logging

/// What a role tells of itself over HTTP.
struct RoleReport: Sendable {
  let info: InfoText
  /// What the role waits for before it does its work; nil if it does.
  let notReady: String?
}

/// The paths that every role's HTTP port has: `/health/live`, `/health/ready` and `/metrics`.
enum MetricsPort {
  /// Listens on a port with these paths alone.
  /// - Parameters:
  ///   - password: Asked for by `/metrics`, not by the health paths; nil asks nobody.
  ///   - report: Called for each request, from any thread. It throws if the role has ended.
  static func start(
    host: String, port: Int, password: String?, logger: Logger,
    report: @escaping @Sendable () async throws -> RoleReport
  ) async throws -> HTTPServer {
    let credentials = HTTPCredentials(password: password)
    return try await HTTPServer.start(.metrics(host: host, port: port), logger: logger) { request in
      do throws(HTTPFailure) {
        guard let reply = try await answer(request, credentials, report: report) else {
          throw HTTPFailure(.notFound, "no such path; this port has /metrics, /health/live and /health/ready")
        }
        return reply
      } catch {
        return error.reply
      }
    }
  }

  /// - Returns: nil if the path is none of these.
  static func answer(
    _ request: HTTPRequest, _ credentials: HTTPCredentials?, report: @Sendable () async throws -> RoleReport
  ) async throws(HTTPFailure) -> HTTPReply? {
    switch request.segments {
    case ["health", "live"]:
      try request.requireRead()
      return .health("live", true)
    case ["health", "ready"]:
      try request.requireRead()
      return try await readiness(report)
    case ["metrics"]:
      try request.requireRead()
      try credentials?.check(request)
      let report = try await told(report)
      var info = report.info
      info.addMetrics(of: .current(), isReady: report.notReady == nil)
      return HTTPReply(
        status: 200, contentType: InfoText.prometheusContentType, body: info.prometheus(.freshet))
    default: return nil
    }
  }

  static func readiness(_ report: @Sendable () async throws -> RoleReport) async throws(HTTPFailure) -> HTTPReply {
    if let reason = try await told(report).notReady { throw HTTPFailure(.loading, reason) }
    return .health("ready", true)
  }

  private static func told(_ report: @Sendable () async throws -> RoleReport) async throws(HTTPFailure) -> RoleReport {
    do {
      return try await report()
    } catch {
      throw HTTPFailure(.busy, "the process is stopping")
    }
  }
}

extension HTTPReply {
  static func health(_ name: String, _ value: Bool) -> HTTPReply {
    .json { writer in
      writer.beginObject()
      writer.key(name)
      writer.write(value)
      writer.endObject()
    }
  }
}

extension HTTPRequest {
  func requireRead() throws(HTTPFailure) {
    guard method == "GET" || method == "HEAD" else { throw .method(method, allow: "GET, HEAD") }
  }

  func requirePost() throws(HTTPFailure) {
    guard method == "POST" else { throw .method(method, allow: "POST") }
  }
}
