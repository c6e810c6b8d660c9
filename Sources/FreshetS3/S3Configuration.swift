import FreshetCore

/// Where the files of an `S3Store` are and how to get at them.
public struct S3Configuration: Sendable, Equatable {
  public var location: S3Location
  public var endpoint: S3Endpoint
  public var region: String
  public var credentials: S3Credentials
  /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
  public var usesPathStyle: Bool
  /// Files that are larger are sent in parts of this size. S3 takes at least 5 MiB, and 10,000 parts of a file.
  public var partBytes: Int
  /// Attempts of one request, waits between them included or not, as for `Backoff`.
  public var maximumAttempts: Int
  public var retryBaseMs: Int
  public var retryCapMs: Int

  /// Parts of 16 MiB; 7 attempts with waits of up to 0.2, 0.4 … 5 s between them.
  public init(
    location: S3Location, endpoint: S3Endpoint, region: String, credentials: S3Credentials, usesPathStyle: Bool
  ) {
    self.location = location
    self.endpoint = endpoint
    self.region = region
    self.credentials = credentials
    self.usesPathStyle = usesPathStyle
    partBytes = 16 << 20
    maximumAttempts = 7
    retryBaseMs = 200
    retryCapMs = 5_000
  }

  /// The value of the `Host` header, which is signed.
  var host: String { usesPathStyle ? endpoint.authority : "\(location.bucket).\(endpoint.authority)" }

  /// The path of a key, or of the bucket, percent-encoded.
  func path(key: String?) -> String {
    let bucket = usesPathStyle ? "/\(location.bucket)" : ""
    guard let key else { return bucket.isEmpty ? "/" : bucket }
    return "\(bucket)/" + PercentEncoding.encode(location.prefix + key, keepsSlashes: true)
  }
}

/// `s3://bucket/prefix`.
public struct S3Location: Sendable, Equatable, CustomStringConvertible {
  public let bucket: String
  /// Ends with `/`, or is empty.
  public let prefix: String

  /// nil if the text is not such a URL, or bucket or prefix have characters that they may not have.
  public init?(_ url: String) {
    guard url.hasPrefix("s3://") else { return nil }
    let rest = url.dropFirst(5)
    let bucket = rest.prefix { $0 != "/" }
    var prefix = rest.dropFirst(bucket.count + 1)
    while prefix.last == "/" { prefix.removeLast() }
    guard (3...63).contains(bucket.utf8.count), bucket.utf8.allSatisfy(Self.isBucketByte), bucket.first != ".",
      bucket.first != "-", prefix.isEmpty || StoredFileName.isValid(String(prefix))
    else { return nil }
    self.bucket = String(bucket)
    self.prefix = prefix.isEmpty ? "" : prefix + "/"
  }

  private static func isBucketByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."),
      UInt8(ascii: "-"):
      true
    default: false
    }
  }

  public var description: String { prefix.isEmpty ? "s3://\(bucket)" : "s3://\(bucket)/\(prefix.dropLast())" }
}

/// The server of the S3 protocol, without bucket and path.
public struct S3Endpoint: Sendable, Equatable, CustomStringConvertible {
  public let isSecure: Bool
  /// `host` or `host:port`, as in the `Host` header.
  public let authority: String

  /// nil if the text is not `http://host[:port]` or `https://host[:port]`.
  public init?(_ url: String) {
    let schemes = [("https://", true, 443), ("http://", false, 80)]
    guard let (scheme, isSecure, port) = schemes.first(where: { url.hasPrefix($0.0) }) else { return nil }
    var authority = url.dropFirst(scheme.count)
    if authority.last == "/" { authority.removeLast() }
    guard !authority.isEmpty, authority.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
      !authority.contains(where: { "/?#@\\".contains($0) })
    else { return nil }
    // HTTP clients leave the scheme's own port out of the header, and the signature covers it.
    if authority.hasSuffix(":\(port)") { authority.removeLast("\(port)".count + 1) }
    self.isSecure = isSecure
    self.authority = String(authority)
  }

  /// AWS's own in a region.
  public init(region: String) {
    isSecure = true
    authority = "s3.\(region).amazonaws.com"
  }

  public var description: String { (isSecure ? "https://" : "http://") + authority }
}

public struct S3Credentials: Sendable, Equatable {
  public var accessKeyID: String
  public var secretAccessKey: String
  /// Of temporary credentials.
  public var sessionToken: String?

  public init(accessKeyID: String, secretAccessKey: String, sessionToken: String?) {
    self.accessKeyID = accessKeyID
    self.secretAccessKey = secretAccessKey
    self.sessionToken = sessionToken
  }
}
