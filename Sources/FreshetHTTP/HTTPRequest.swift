import Foundation
import NIOCore

/// A request with its whole body.
public struct HTTPRequest: Sendable {
  /// `GET`, `POST` … as sent.
  public var method: String
  /// The parts of the path between slashes, percent-decoded; the last one is empty if the path ends with a slash.
  public var segments: [String]
  /// The parameters of the query in order, decoded; `+` is a space. A name may occur several times.
  public var query: [(name: String, value: String)]
  /// Names in lower case; the last one counts where a header is sent twice.
  public var headers: [String: String]
  public var body: ByteBuffer

  public init(
    method: String, segments: [String], query: [(name: String, value: String)], headers: [String: String],
    body: ByteBuffer
  ) {
    self.method = method
    self.segments = segments
    self.query = query
    self.headers = headers
    self.body = body
  }

  /// - Parameter target: Path and query as on the request line: `/v1/models/m:predict?x=1`.
  /// - Throws: 400 if an escape in it is none, or what it stands for is not UTF-8.
  public init(
    method: String, target: String, headers: [String: String], body: ByteBuffer
  ) throws(HTTPFailure) {
    let question = target.firstIndex(of: "?")
    let path = target[..<(question ?? target.endIndex)]
    var segments: [String] = []
    for part in path.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      segments.append(try Self.decoded(part))
    }
    var query: [(name: String, value: String)] = []
    if let question {
      let text = target[target.index(after: question)...].prefix { $0 != "#" }
      for pair in text.split(separator: "&") {
        let equals = pair.firstIndex(of: "=")
        let name = pair[..<(equals ?? pair.endIndex)]
        let value = equals.map { pair[pair.index(after: $0)...] } ?? ""
        query.append(
          (try Self.decoded(name.replacing("+", with: " ")), try Self.decoded(value.replacing("+", with: " "))))
      }
    }
    self.init(method: method, segments: segments, query: query, headers: headers, body: body)
  }

  private static func decoded(_ text: some StringProtocol) throws(HTTPFailure) -> String {
    guard let decoded = text.removingPercentEncoding else {
      throw HTTPFailure(
        .badRequest, "`\(HTTPFailure.short(text))` in the address is not percent-encoded UTF-8; encode % as %25")
    }
    return decoded
  }
}
