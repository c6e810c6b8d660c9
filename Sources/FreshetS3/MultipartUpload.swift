import FreshetCore
import NIOCore

/// A file that goes out in parts, several of them at a time. Belongs to one thread.
final class MultipartUpload {
  /// Parts that are on their way at once.
  static let maximumUnderWay = 3
  /// What S3 takes of one file.
  static let maximumParts = 10_000

  private let client: S3Client
  private let name: String
  private let id: String
  private let cancellation = S3Client.Cancellation()
  private var etags: [String] = []
  private var underWay: [PendingResult<String>] = []

  init(client: S3Client, name: String) throws(FileStoreError) {
    self.client = client
    self.name = name
    let request = S3Client.Request(method: .POST, key: name, query: [("uploads", "")])
    let reply = try client.perform(request, "begin an upload to")
    guard let document = XMLTree(parsing: reply.body.readableBytesView),
      document.name == "InitiateMultipartUploadResult", let id = document.text(of: "UploadId"), !id.isEmpty
    else { throw FileStoreError(.failed, "begin an upload to \(client.url(of: name)): the reply has no upload id") }
    self.id = id
  }

  /// Sends the next part. Waits while too many are under way, and throws if one of those failed.
  func add(_ part: ByteBuffer) throws(FileStoreError) {
    let number = etags.count + underWay.count + 1
    guard number <= Self.maximumParts else {
      throw FileStoreError(
        .failed,
        "\(client.url(of: name)): more than \(Self.maximumParts) parts of \(client.configuration.partBytes) bytes")
    }
    if underWay.count == Self.maximumUnderWay { try collectFirst() }
    underWay.append(
      PendingResult { [client, name, id, cancellation] () throws(FileStoreError) in
        let request = S3Client.Request(
          method: .PUT, key: name, query: [("partNumber", "\(number)"), ("uploadId", id)], body: part)
        let reply = try client.perform(request, "put part \(number) of", cancellation: cancellation)
        guard let etag = reply.headers.first(name: "etag") else {
          throw FileStoreError(.failed, "put part \(number) of \(client.url(of: name)): the reply has no ETag")
        }
        return etag
      })
  }

  /// Makes a file of the parts.
  func complete(sizeBytes: Int) throws(FileStoreError) {
    while !underWay.isEmpty { try collectFirst() }
    let parts = etags.enumerated()
      .map { "<Part><PartNumber>\($0 + 1)</PartNumber><ETag>\(Self.escaped($1))</ETag></Part>" }.joined()
    let body = "<CompleteMultipartUpload>\(parts)</CompleteMultipartUpload>"
    var request = S3Client.Request(
      method: .POST, key: name, query: [("uploadId", id)], headers: [("content-type", "application/xml")],
      body: ByteBuffer(string: body))
    // The answer to an earlier attempt may have been lost after it had done its work: then there is no upload any more, but
    // there is the file.
    request.expectedCodes = ["NoSuchUpload"]
    let reply = try client.perform(request, "complete the upload to")
    let stored = try size()
    guard stored == sizeBytes else {
      throw FileStoreError(
        .failed,
        "complete the upload to \(client.url(of: name)): HTTP \(reply.status); it has \(stored) bytes, \(sizeBytes) were written"
      )
    }
  }

  private func size() throws(FileStoreError) -> Int {
    let reply = try client.perform(S3Client.Request(method: .HEAD, key: name), "look at")
    return reply.headers.first(name: "content-length").flatMap { Int($0) } ?? -1
  }

  /// Gives the parts back. What cannot be given back now is left to the bucket's lifecycle rule.
  func abort() {
    cancellation.cancel()
    // A part that arrives after the abort would stay.
    for part in underWay { _ = part.wait() }
    underWay = []
    do {
      _ = try client.perform(
        S3Client.Request(method: .DELETE, key: name, query: [("uploadId", id)]), "abort the upload to")
    } catch {
      client.onRetry("\(error.message); a lifecycle rule of the bucket should abort old uploads")
    }
  }

  private func collectFirst() throws(FileStoreError) {
    let result = underWay.removeFirst().wait()
    etags.append(try result.get())
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
  }
}
