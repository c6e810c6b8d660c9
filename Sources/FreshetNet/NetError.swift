import FreshetCore
import FreshetWire
import NIOCore
import NIOPosix

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A network failure outside of a request: a port that cannot be listened on, a server that cannot be reached.
public struct NetError: DescribedError {
  public enum Kind: String, Sendable {
    case portInUse = "port-in-use"
    case listenFailed = "listen-failed"
    case connectFailed = "connect-failed"
    case handshakeFailed = "handshake-failed"
  }

  public let kind: Kind
  public let message: String
  public let cause: (any Error)?

  public var code: String { kind.rawValue }

  static func listen(host: String, port: Int, _ cause: any Error) -> NetError {
    if let error = cause as? IOError, error.errnoCode == EADDRINUSE {
      return NetError(
        kind: .portInUse,
        message: "\(host):\(port) is in use by another process; stop it or choose another port "
          + "(`ss -ltnp 'sport = :\(port)'` shows who listens)",
        cause: cause)
    }
    return NetError(
      kind: .listenFailed,
      message: "cannot listen on \(host):\(port): \(reason(cause)); check the address and the permission for the port",
      cause: cause)
  }

  static func connect(host: String, port: Int, _ cause: any Error) -> NetError {
    NetError(kind: .connectFailed, message: "cannot connect to \(host):\(port): \(reason(cause))", cause: cause)
  }

  static func handshake(host: String, port: Int, _ cause: WireError) -> NetError {
    NetError(kind: .handshakeFailed, message: "\(host):\(port) refused the connection: \(cause)", cause: cause)
  }

  /// The operating system's words where there are any.
  static func reason(_ error: any Error) -> String {
    switch error {
    case let error as IOError: String(cString: strerror(error.errnoCode))
    case let error as NIOConnectionError:
      error.connectionErrors.first.map { reason($0.error) }
        ?? (error.dnsAError ?? error.dnsAAAAError).map { _ in "host name not found" } ?? "no address"
    case ChannelError.connectTimeout(let limit): "no answer within \(limit.nanoseconds / 1_000_000) ms"
    case let error as any DescribedError: error.message
    default: "\(error)"
    }
  }
}
