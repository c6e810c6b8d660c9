import FreshetCore
import NIOCore

/// A file of an `S3Store` that is being read: in ranges, the next one on its way while one is consumed.
///
/// Every range names the ETag that the file had at the start, so that all bytes are of the same file.
final class S3FileReader: FileStoreReader {
  private static let rangeBytes = 8 << 20

  private let client: S3Client
  private let name: String
  private let etag: String?
  let sizeBytes: Int

  private var current = ByteBuffer()
  private var next: PendingResult<ByteBuffer>?
  /// Bytes that were asked for.
  private var requestedBytes = 0

  init(client: S3Client, name: String) throws(FileStoreError) {
    let reply = try client.perform(S3Client.Request(method: .HEAD, key: name), "look at")
    guard let size = reply.headers.first(name: "content-length").flatMap({ Int($0) }), size >= 0 else {
      throw FileStoreError(.failed, "look at \(client.url(of: name)): the reply has no size")
    }
    self.client = client
    self.name = name
    sizeBytes = size
    etag = reply.headers.first(name: "etag")
    requestNext()
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileStoreError) -> Int {
    var filled = 0
    while filled < buffer.count {
      if current.readableBytes == 0 {
        guard let next else { break }
        current = try next.wait().get()
        requestNext()
      }
      let count = min(buffer.count - filled, current.readableBytes)
      current.withUnsafeReadableBytes { bytes in
        UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
      }
      current.moveReaderIndex(forwardBy: count)
      filled += count
    }
    return filled
  }

  private func requestNext() {
    guard requestedBytes < sizeBytes else {
      next = nil
      return
    }
    let range = requestedBytes..<min(sizeBytes, requestedBytes + Self.rangeBytes)
    requestedBytes = range.upperBound
    next = PendingResult { [client, name, etag] () throws(FileStoreError) in
      try Self.fetch(range, of: name, etag: etag, client: client)
    }
  }

  private static func fetch(
    _ range: Range<Int>, of name: String, etag: String?, client: S3Client
  ) throws(FileStoreError) -> ByteBuffer {
    var request = S3Client.Request(method: .GET, key: name)
    request.headers = [("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")]
    if let etag { request.headers.append(("if-match", etag)) }
    request.maximumReplyBytes = range.count
    let reply = try client.perform(request, "get bytes \(range.lowerBound)-\(range.upperBound - 1) of")
    guard reply.body.readableBytes == range.count else {
      throw FileStoreError(
        .failed,
        "get \(client.url(of: name)): \(reply.body.readableBytes) bytes came from \(range.lowerBound) on, not \(range.count)"
      )
    }
    return reply.body
  }
}
