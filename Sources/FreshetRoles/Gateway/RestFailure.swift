import FreshetHTTP

/// Why a request of the REST Proxy's API is refused. On the wire it is `{"error_code":code,"message":message}`.
struct RestFailure: Error, Equatable {
  static let topicNotFound = 40_401
  static let partitionNotFound = 40_402
  static let unconvertible = 42_203
  static let kafkaForbidden = 40_301
  static let kafkaError = 50_002
  static let retriableKafkaError = 50_003

  /// A status of HTTP, or one with two more digits.
  let errorCode: Int
  let message: String
  var allow: String?
  var retryAfterSeconds: Int?
  var authenticate: String?

  init(_ errorCode: Int, _ message: String) {
    self.errorCode = errorCode
    self.message = message
  }

  init(_ failure: HTTPFailure) {
    // What is refused before it is handled, because too many bytes are in hand, is the gateway's bound as well.
    self.init(failure.kind == .busy ? 429 : failure.kind.status, failure.message)
    let reply = failure.reply
    allow = reply.allow
    retryAfterSeconds = reply.retryAfterSeconds
    authenticate = reply.authenticate
  }

  init(_ refusal: WriteRefusal) {
    switch refusal.kind {
    case .full: self.init(429, refusal.message)
    case .tooLarge: self.init(413, refusal.message)
    case .unavailable: self.init(503, refusal.message)
    }
    if refusal.kind != .tooLarge { retryAfterSeconds = 1 }
  }

  var status: Int { errorCode > 999 ? errorCode / 100 : errorCode }

  var reply: HTTPReply {
    var reply = HTTPReply.proxy(status: status) { writer in
      writer.beginObject()
      writer.key("error_code")
      writer.write(errorCode)
      writer.key("message")
      writer.write(message)
      writer.endObject()
    }
    reply.allow = allow
    reply.retryAfterSeconds = retryAfterSeconds
    reply.authenticate = authenticate
    return reply
  }
}

extension HTTPReply {
  /// - Parameter write: Writes one JSON value.
  static func proxy(status: Int = 200, _ write: (inout JSONWriter) -> Void) -> HTTPReply {
    var reply = HTTPReply.json(status: status, write)
    reply.contentType = MediaType.plain
    return reply
  }
}
