import FreshetCore

/// An error as it travels on the wire: `code` is the first word of the RESP error, `message` the rest.
///
/// Failures of the connection itself (`CONNECTION`, `TIMEOUT`) have the same type, so that whoever waits for a reply
/// handles one kind of error; they are made by the client and never sent.
public struct WireError: DescribedError, Hashable {
  /// The codes of Freshet. A code that another server sends is carried as it is.
  public struct Code: RawRepresentable, Hashable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The request is wrong: unknown command, wrong arity or type, or broken framing.
    public static let err = Code(rawValue: "ERR")
    /// A password is configured and has not been given.
    public static let noAuth = Code(rawValue: "NOAUTH")
    public static let wrongPass = Code(rawValue: "WRONGPASS")
    /// HELLO asked for a protocol other than 2 or 3.
    public static let noProto = Code(rawValue: "NOPROTO")
    /// A newer epoch of the partition has been claimed.
    public static let fenced = Code(rawValue: "FENCED")
    /// A push does not start at the shard's watermark.
    public static let watermark = Code(rawValue: "WATERMARK")
    /// The shard lives on another server.
    public static let moved = Code(rawValue: "MOVED")
    /// The server or replica is still loading.
    public static let loading = Code(rawValue: "LOADING")
    /// A bound is reached: too many connections or unanswered requests.
    public static let busy = Code(rawValue: "BUSY")
    /// The request is larger than a limit.
    public static let tooBig = Code(rawValue: "TOOBIG")
    /// Client side only: no connection, or it was lost before the reply.
    public static let connection = Code(rawValue: "CONNECTION")
    /// Client side only: no reply in time.
    public static let timeout = Code(rawValue: "TIMEOUT")
  }

  public let kind: Code
  public let message: String

  public init(_ kind: Code, _ message: String) {
    self.kind = kind
    self.message = message
  }

  /// From the text of a RESP error: the first word is the code.
  public init(line: String) {
    guard let space = line.firstIndex(of: " ") else {
      self.init(Code(rawValue: line), "")
      return
    }
    self.init(Code(rawValue: String(line[..<space])), String(line[line.index(after: space)...]))
  }

  public var code: String { kind.rawValue }

  /// Whether the connection failed rather than the server answered with an error.
  public var isConnectionFailure: Bool { kind == .connection || kind == .timeout }

  static func malformed(_ reason: String) -> WireError { WireError(.err, "Protocol error: \(reason)") }
}
