import FreshetCore
import NIOCore

/// Files in a bucket of a store that speaks the S3 protocol, under a prefix.
///
/// A file appears whole or not at all: it goes out in one `PUT`, or in a multipart upload that is completed at the end.
/// What failed by status 5xx or 429, a timeout or a lost connection is tried again with backoff.
///
/// An upload that a process left when it was killed has no name and costs storage until it is aborted: give the bucket a
/// lifecycle rule with `AbortIncompleteMultipartUpload`.
public struct S3Store: FileStore {
  let client: S3Client

  public var description: String { client.configuration.location.description }

  /// - Parameter onRetry: Told of every request that failed and is made again; called on any thread.
  public init(_ configuration: S3Configuration, onRetry: @escaping @Sendable (String) -> Void) {
    client = S3Client(configuration: configuration, onRetry: onRetry)
  }

  public func list(prefix: String) throws(FileStoreError) -> [StoredFile] {
    let root = client.configuration.location.prefix
    var files: [StoredFile] = []
    var token: String?
    repeat {
      var query = [("list-type", "2"), ("max-keys", "1000"), ("prefix", root + prefix)]
      if let token { query.append(("continuation-token", token)) }
      let request = S3Client.Request(method: .GET, key: nil, query: query.map { (name: $0.0, value: $0.1) })
      let reply = try client.perform(request, "list \(root)\(prefix)* in")
      guard let page = XMLTree(parsing: reply.body.readableBytesView).flatMap({ S3ListPage($0) }),
        page.nextToken == nil || page.nextToken != token
      else {
        throw FileStoreError(
          .failed, "list \(root)\(prefix)* in \(client.url(of: nil)): the reply is not a page of a list")
      }
      for file in page.keys where file.name.hasPrefix(root) {
        let name = String(file.name.dropFirst(root.count))
        if StoredFileName.isValid(name) { files.append(StoredFile(name: name, sizeBytes: file.sizeBytes)) }
      }
      token = page.nextToken
    } while token != nil
    return files.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  public func create(_ name: String) throws(FileStoreError) -> any FileStoreWriter {
    try StoredFileName.check(name, of: description)
    return S3FileWriter(client: client, name: name)
  }

  public func open(_ name: String) throws(FileStoreError) -> any FileStoreReader {
    try StoredFileName.check(name, of: description)
    return try S3FileReader(client: client, name: name)
  }

  public func remove(_ name: String) throws(FileStoreError) {
    try StoredFileName.check(name, of: description)
    do {
      _ = try client.perform(S3Client.Request(method: .DELETE, key: name), "delete")
    } catch {
      // S3 says 204 then; others that speak its protocol may not.
      if error.kind != .notFound { throw error }
    }
  }
}
