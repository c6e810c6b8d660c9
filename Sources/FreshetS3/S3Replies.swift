import FreshetCore

/// One page of `ListObjectsV2`.
struct S3ListPage: Equatable {
  var keys: [StoredFile]
  /// For the next page; nil after the last.
  var nextToken: String?

  /// nil if the document is something else.
  init?(_ document: XMLTree) {
    guard document.name == "ListBucketResult" else { return nil }
    keys = []
    for entry in document.children where entry.name == "Contents" {
      guard let key = entry.text(of: "Key"), let size = entry.text(of: "Size").flatMap({ Int($0) }), size >= 0 else {
        return nil
      }
      keys.append(StoredFile(name: key, sizeBytes: size))
    }
    switch document.text(of: "IsTruncated") {
    case "false", nil: nextToken = nil
    case "true":
      guard let token = document.text(of: "NextContinuationToken"), !token.isEmpty else { return nil }
      nextToken = token
    default: return nil
    }
  }
}

/// What S3 says is wrong.
struct S3Failure: Equatable, Sendable {
  var status: Int
  /// S3's code; empty where the reply has none, as to `HEAD`.
  var code: String
  var message: String

  init(status: Int, body: some Sequence<UInt8>) {
    self.status = status
    let error = XMLTree(parsing: body).flatMap { $0.name == "Error" ? $0 : nil }
    code = error?.text(of: "Code") ?? ""
    message = error?.text(of: "Message") ?? ""
  }

  /// Whether the same request may succeed a little later.
  var isPassing: Bool {
    switch status {
    case 408, 429, 500, 502, 503, 504: true
    default: ["RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted"].contains(code)
    }
  }

  /// - Parameter what: Verb and URL: `put s3://bucket/key`.
  func error(_ what: String, attempts: Int) -> FileStoreError {
    var text = "\(what): HTTP \(status)"
    if !code.isEmpty { text += " \(code)" }
    if !message.isEmpty { text += ": \(message)" }
    if attempts > 1 { text += " (\(attempts) attempts)" }
    if let advice { text += "; \(advice)" }
    return FileStoreError(kind, text)
  }

  private var kind: FileStoreError.Kind {
    switch (status, code) {
    case (404, "NoSuchKey"), (404, ""): .notFound
    case (507, _), (_, "QuotaExceeded"), (_, "XMinioStorageFull"): .noSpace
    default: .failed
    }
  }

  private var advice: String? {
    switch (status, code) {
    case (_, "NoSuchBucket"): "create the bucket, or correct snapshot.store"
    case (_, "InvalidAccessKeyId"), (_, "SignatureDoesNotMatch"), (_, "ExpiredToken"), (_, "InvalidToken"):
      "check the access key, its secret, the session token and the region"
    case (_, "RequestTimeTooSkewed"): "set this machine's clock"
    case (301, _), (307, _), (_, "AuthorizationHeaderMalformed"), (_, "PermanentRedirect"):
      "check s3.region and s3.endpoint of the store's section"
    case (403, _): "the access key needs the rights to get, put, delete and list objects there"
    default: nil
    }
  }
}
