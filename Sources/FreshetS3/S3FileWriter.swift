import FreshetCore
import NIOCore

/// A file of an `S3Store` that is being written.
///
/// Holds at most one part that fills and `MultipartUpload.maximumUnderWay` that are on their way.
final class S3FileWriter: FileStoreWriter {
  private enum State { case open, finished, abandoned }

  private let client: S3Client
  private let name: String
  private var buffer = ByteBuffer()
  private var upload: MultipartUpload?
  private var sizeBytes = 0
  private var state = State.open

  init(client: S3Client, name: String) {
    self.client = client
    self.name = name
  }

  deinit { abandon() }

  func write(_ bytes: UnsafeRawBufferPointer) throws(FileStoreError) {
    guard state == .open else { throw closed }
    do throws(FileStoreError) {
      try append(bytes)
    } catch {
      abandon()
      throw error
    }
  }

  private func append(_ bytes: UnsafeRawBufferPointer) throws(FileStoreError) {
    let partBytes = client.configuration.partBytes
    var left = bytes
    while !left.isEmpty {
      // A part goes only when something follows it: the last one may be smaller, but a file in one part needs no upload.
      if buffer.readableBytes == partBytes {
        if upload == nil { upload = try MultipartUpload(client: client, name: name) }
        try upload?.add(buffer)
        buffer = ByteBuffer()
        buffer.reserveCapacity(partBytes)
      }
      let count = min(left.count, partBytes - buffer.readableBytes)
      buffer.writeBytes(UnsafeRawBufferPointer(rebasing: left[..<count]))
      sizeBytes += count
      left = UnsafeRawBufferPointer(rebasing: left[count...])
    }
  }

  func finish() throws(FileStoreError) {
    guard state == .open else { throw closed }
    do throws(FileStoreError) {
      if let upload {
        try upload.add(buffer)
        try upload.complete(sizeBytes: sizeBytes)
      } else {
        _ = try client.perform(S3Client.Request(method: .PUT, key: name, body: buffer), "put")
      }
    } catch {
      abandon()
      throw error
    }
    state = .finished
    buffer = ByteBuffer()
  }

  func abandon() {
    guard state == .open else { return }
    state = .abandoned
    buffer = ByteBuffer()
    upload?.abort()
  }

  /// What comes of writing on after a failure.
  private var closed: FileStoreError {
    FileStoreError(.failed, "\(client.url(of: name)): writing it has ended already")
  }
}
