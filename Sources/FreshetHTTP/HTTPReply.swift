import NIOCore

/// What a request is answered with.
public struct HTTPReply: Sendable {
  public var status: Int
  public var contentType: String
  /// Seconds after which it is worth trying again.
  public var retryAfterSeconds: Int?
  /// The methods that the path has, of a reply with status 405.
  public var allow: String?
  /// How to authenticate, of a reply with status 401.
  public var authenticate: String?
  /// Further headers, by names that the reply has no member for.
  public var headers: [(name: String, value: String)] = []
  public var body: ByteBuffer

  public init(status: Int, contentType: String, body: ByteBuffer) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }

  /// - Parameter write: Writes one JSON value.
  public static func json(status: Int = 200, _ write: (inout JSONWriter) -> Void) -> HTTPReply {
    var writer = JSONWriter()
    write(&writer)
    return HTTPReply(status: status, contentType: "application/json", body: writer.buffer)
  }
}
