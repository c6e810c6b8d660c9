import Crypto
import Glibc

/// AWS Signature Version 4 in the `Authorization` header, with the payload hashed in one piece.
///
/// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
struct RequestSigner: Sendable {
  let credentials: S3Credentials
  let region: String

  /// What a signature covers.
  struct Request {
    var method: String
    /// Percent-encoded.
    var path: String
    /// Not encoded.
    var query: [(name: String, value: String)]
    /// `host` among them; names in any case.
    var headers: [(name: String, value: String)]
    /// Of the body's bytes, lower-case hexadecimal.
    var payloadHash: String
  }

  /// The headers to send: those of the request, the date, the hash, the session token and the signature.
  func sign(_ request: Request, at time: SigningTime) -> [(name: String, value: String)] {
    var headers = request.headers
    headers.append(("x-amz-content-sha256", request.payloadHash))
    headers.append(("x-amz-date", time.stamp))
    if let token = credentials.sessionToken { headers.append(("x-amz-security-token", token)) }
    let canonical =
      headers
      .map { ($0.name.lowercased(), Self.trimmed($0.value)) }
      .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
    let names = canonical.map(\.0).joined(separator: ";")
    let canonicalRequest = [
      request.method, request.path, PercentEncoding.query(request.query),
      canonical.map { "\($0.0):\($0.1)\n" }.joined(), names, request.payloadHash,
    ].joined(separator: "\n")
    let scope = "\(time.day)/\(region)/s3/aws4_request"
    let text = ["AWS4-HMAC-SHA256", time.stamp, scope, hexadecimal(SHA256.hash(data: Array(canonicalRequest.utf8)))]
      .joined(separator: "\n")
    let signature = hexadecimal(Self.authenticate(text, key: signingKey(day: time.day)))
    headers.append(
      (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope),SignedHeaders=\(names),Signature=\(signature)"
      ))
    return headers
  }

  private func signingKey(day: String) -> SymmetricKey {
    var key = SymmetricKey(data: Array("AWS4\(credentials.secretAccessKey)".utf8))
    for step in [day, region, "s3", "aws4_request"] {
      key = SymmetricKey(data: Self.authenticate(step, key: key))
    }
    return key
  }

  private static func authenticate(_ text: String, key: SymmetricKey) -> HMAC<SHA256>.MAC {
    HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key)
  }

  /// Without blanks at the ends, and with one where several follow each other.
  private static func trimmed(_ value: String) -> String {
    value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
  }
}

/// A moment as signatures have it, in UTC.
struct SigningTime: Sendable, Equatable {
  /// `20130524T000000Z`
  let stamp: String
  /// `20130524`
  var day: String { String(stamp.prefix(8)) }

  init(secondsSince1970 seconds: Int) {
    var seconds = time_t(seconds)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func digits(_ value: Int32, _ count: Int) -> String {
      let text = String(value)
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    stamp =
      digits(parts.tm_year + 1900, 4) + digits(parts.tm_mon + 1, 2) + digits(parts.tm_mday, 2) + "T"
      + digits(parts.tm_hour, 2) + digits(parts.tm_min, 2) + digits(parts.tm_sec, 2) + "Z"
  }

  static func now() -> SigningTime { SigningTime(secondsSince1970: Int(time(nil))) }
}

/// Lower-case, two digits a byte.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
