import Foundation
import FreshetCluster
import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One partition of an input topic in a file: for each record 4 bytes of length, 8 of append time, and its JSON. What a
/// joiner reads of it goes through a buffer of its own, as a consumer's does.
final class JoinLog {
  private static let indexed = 4096
  private static let bufferBytes = 1 << 20

  let count: Int64
  private let file: Int32
  /// Where every 4096th record begins.
  private var starts: [Int64] = []
  private var buffer = UnsafeMutableRawPointer.allocate(byteCount: JoinLog.bufferBytes, alignment: 8)
  private var bufferStart: Int64 = 0
  private var bufferCount = 0
  private var position: Int64 = 0
  /// The offset of the next record.
  private(set) var next: Int64 = 0

  /// Writes records to a new file.
  init(path: String, _ entries: [JoinWorkload.Entry]) throws {
    file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0 else {
      throw JoinerStateError(.failed, "\(path): cannot be written (\(String(cString: strerror(errno))))")
    }
    count = Int64(entries.count)
    var text = JoinText()
    var writer = BinaryWriter(capacity: 2 * Self.bufferBytes)
    var end: Int64 = 0
    for (index, entry) in entries.enumerated() {
      if index % Self.indexed == 0 { starts.append(end + Int64(writer.count)) }
      text.write(entry)
      writer.write(UInt32(text.bytes.count))
      writer.write(entry.arrivalMs)
      text.bytes.withUnsafeBytes { writer.write($0) }
      if writer.count > Self.bufferBytes || index == entries.count - 1 {
        try append(writer.bytes, path)
        end += Int64(writer.count)
        writer.removeAll()
      }
    }
  }

  deinit {
    close(file)
    buffer.deallocate()
  }

  private func append(_ bytes: [UInt8], _ path: String) throws {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + written, bytes.count - written) }
      guard count > 0 else {
        throw JoinerStateError(.failed, "\(path): cannot be written (\(String(cString: strerror(errno))))")
      }
      written += count
    }
  }

  /// Goes on at an offset.
  func seek(_ offset: Int64) {
    let block = min(Int(offset) / Self.indexed, max(0, starts.count - 1))
    position = starts.isEmpty ? 0 : starts[block]
    bufferStart = position
    bufferCount = 0
    next = Int64(block * Self.indexed)
    while next < offset, step({ _ in }) {}
  }

  /// Gives the next record to `body`.
  /// - Returns: False at the end.
  @inline(__always)
  func step(_ body: (JoinerRecord) -> Void) -> Bool {
    guard next < count else { return false }
    var at = Int(position - bufferStart)
    if at + 12 > bufferCount || at + 12 + length(at) > bufferCount {
      fill()
      at = 0
    }
    let length = length(at)
    let append = Int64(littleEndian: buffer.loadUnaligned(fromByteOffset: at + 4, as: Int64.self))
    body(
      JoinerRecord(
        offset: next, appendTimeMs: append, payload: UnsafeRawBufferPointer(start: buffer + at + 12, count: length)))
    position += Int64(12 + length)
    next += 1
    return true
  }

  private func length(_ at: Int) -> Int {
    Int(UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
  }

  private func fill() {
    bufferStart = position
    bufferCount = max(0, pread(file, buffer, Self.bufferBytes, off_t(position)))
    precondition(bufferCount >= 12, "the log was written with that many records")
  }
}
