import FreshetCore
import NIOCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why a request is refused. On the wire it is `{"error":message,"code":code}`, as Open Inference Protocol and TensorFlow
/// Serving have it, with the code added.
public struct HTTPFailure: DescribedError, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    /// The request is wrong; the message names what.
    case badRequest = "ERR"
    case noAuth = "NOAUTH"
    case notFound = "NOTFOUND"
    /// The path exists, with other methods.
    case method = "METHOD"
    case tooBig = "TOOBIG"
    /// A content encoding or protocol extension that is not understood.
    case unsupported = "UNSUPPORTED"
    /// The body can be read, and what it says cannot be used.
    case invalid = "INVALID"
    /// More is in hand than may be: the client is to slow down.
    case full = "FULL"
    /// A bound is reached.
    case busy = "BUSY"
    /// The replica or server does not have its rows yet.
    case loading = "LOADING"
    /// What the request needs of other processes cannot be had now.
    case unavailable = "UNAVAILABLE"
    /// A mistake of the server's.
    case `internal` = "INTERNAL"

    public var status: Int {
      switch self {
      case .badRequest: 400
      case .noAuth: 401
      case .notFound: 404
      case .method: 405
      case .tooBig: 413
      case .unsupported: 415
      case .invalid: 422
      case .full: 429
      case .busy, .loading, .unavailable: 503
      case .internal: 500
      }
    }
  }

  public let kind: Kind
  public let message: String
  public var allow: String?

  public var code: String { kind.rawValue }

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  /// - Parameter allow: The methods that the path has, such as `GET, HEAD`.
  public static func method(_ method: String, allow: String) -> HTTPFailure {
    var failure = HTTPFailure(.method, "\(short(method)) is not possible here; use \(allow)")
    failure.allow = allow
    return failure
  }

  public var reply: HTTPReply {
    var reply = HTTPReply.json(status: kind.status) { writer in
      writer.beginObject()
      writer.key("error")
      writer.write(message)
      writer.key("code")
      writer.write(code)
      writer.endObject()
    }
    if kind.status == 503 || kind == .full { reply.retryAfterSeconds = 1 }
    if kind == .noAuth { reply.authenticate = "Basic realm=\"freshet\", Bearer realm=\"freshet\"" }
    reply.allow = allow
    return reply
  }

  /// At most 64 characters of what a client sent, for a message.
  public static func short(_ text: some StringProtocol) -> String {
    text.count > 64 ? text.prefix(64) + "…" : String(text)
  }
}

/// A port that cannot be listened on.
public struct HTTPListenError: DescribedError {
  public let code = "listen-failed"
  public let message: String
  public let cause: any Error

  init(host: String, port: Int, _ cause: any Error) {
    self.cause = cause
    let isInUse = (cause as? IOError).map { $0.errnoCode == EADDRINUSE } ?? false
    message =
      isInUse
      ? "\(host):\(port) is in use by another process; stop it or choose another port "
        + "(`ss -ltnp 'sport = :\(port)'` shows who listens)"
      : "cannot listen on \(host):\(port): \(cause); check the address and the permission for the port"
  }
}
