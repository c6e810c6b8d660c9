import NIOCore

/// The bytes that have arrived and are not decoded yet.
///
/// Slices that are handed out share memory with it and are never copied; neither are bytes that arrive when it is
/// empty. Bytes that arrive behind an incomplete value are appended, so each byte is copied a constant number of times
/// however the stream is cut: memory grows by doubling with the bytes that are here, not with announced lengths.
struct ReceiveBuffer: Sendable {
  private(set) var storage = ByteBuffer()
  /// Someone else may hold the same memory, so that writing to it would copy all of it.
  private var isShared = false

  var readableBytes: Int { storage.readableBytes }

  mutating func append(_ incoming: ByteBuffer) {
    guard incoming.readableBytes > 0 else { return }
    guard storage.readableBytes > 0 else {
      storage = incoming
      isShared = true
      return
    }
    if isShared {
      var fresh = ByteBufferAllocator().buffer(capacity: storage.readableBytes + incoming.readableBytes)
      fresh.writeImmutableBuffer(storage)
      storage = fresh
      isShared = false
    } else if storage.readerIndex > storage.readableBytes {
      storage.discardReadBytes()
    }
    storage.writeImmutableBuffer(incoming)
  }

  /// - Precondition: `count <= readableBytes`.
  mutating func readSlice(_ count: Int) -> ByteBuffer {
    guard let slice = storage.readSlice(length: count) else { preconditionFailure("slice beyond the buffer") }
    isShared = true
    releaseIfEmpty()
    return slice
  }

  /// - Precondition: `count <= readableBytes`.
  mutating func skip(_ count: Int) {
    storage.moveReaderIndex(forwardBy: count)
    releaseIfEmpty()
  }

  private mutating func releaseIfEmpty() {
    if storage.readableBytes == 0 { storage = ByteBuffer() }
  }
}
