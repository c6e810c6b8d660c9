import FreshetCore

/// Reads the blocks of a data file one after the other and compares their checksums.
///
/// Memory is bounded by the largest block (`SnapshotLimits`), whatever the bytes say.
struct SnapshotBlockReader {
  private let name: String
  private let reader: any FileStoreReader
  private let compressor: any BlockCompressor
  private var checksums: [UInt64] = []
  private var block: [UInt8] = []
  /// Bytes of the file before the next block.
  private(set) var position = 0
  /// Of what has been read. `checksum` and `fileBytes` are those of the whole file once the footer has been read.
  private(set) var totals = SnapshotTotals()

  /// - Parameters:
  ///   - name: Of the file, for messages.
  ///   - compressor: Knows blocks of its own format; blocks that are stored as they are need none.
  init(name: String, reader: any FileStoreReader, compressor: any BlockCompressor) throws(SnapshotError) {
    self.name = name
    self.reader = reader
    self.compressor = compressor
    try fill(SnapshotBlockEncoder.prelude.count, at: 0)
    let expected = SnapshotBlockEncoder.prelude
    guard block.starts(with: SnapshotBlockEncoder.magic) else { throw malformed("it is not a data file of a snapshot") }
    guard block == expected else {
      let version = UInt16(block[8]) | UInt16(block[9]) << 8
      guard version == SnapshotBlockEncoder.version else {
        throw malformed(
          "version \(version), this program knows \(SnapshotBlockEncoder.version): it is damaged or of a newer one")
      }
      throw malformed("bytes that must be 0 are not")
    }
    position = expected.count
  }

  func malformed(_ reason: String) -> SnapshotError {
    SnapshotError(.malformed, "\(name): byte \(position): \(reason)")
  }

  func malformed(_ blob: MalformedBlob) -> SnapshotError { malformed(blob.description) }

  /// The next block and its raw bytes; after the footer there is none to ask for.
  mutating func next() throws(SnapshotError) -> (head: SnapshotBlockHead, raw: [UInt8]) {
    try fill(SnapshotBlockHead.byteCount, at: 0)
    let head = try decoding { reader throws(MalformedBlob) in
      try SnapshotBlockHead(from: &reader, number: totals.blocks)
    }
    let end = SnapshotBlockHead.byteCount + head.storedBytes
    try fill(head.storedBytes + SnapshotBlockHead.checksumBytes, at: SnapshotBlockHead.byteCount)
    let (computed, stored) = block.withUnsafeBytes { bytes in
      (
        Hashing.xxh3(UnsafeRawBufferPointer(rebasing: bytes[..<end])),
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self))
      )
    }
    guard computed == stored else { throw malformed("the checksum of block \(head.number) does not match") }
    let raw = try unpack(head)
    position += block.count
    if head.content == .footer {
      try checkFooter(raw)
    } else {
      checksums.append(stored)
      totals.add(head)
    }
    return (head, raw)
  }

  /// Reads exactly `count` bytes into `block`, behind the first `start` ones.
  private mutating func fill(_ count: Int, at start: Int) throws(SnapshotError) {
    if block.count > start + count { block.removeLast(block.count - start - count) }
    if block.count < start + count {
      block.append(contentsOf: repeatElement(0, count: start + count - block.count))
    }
    var filled = start
    while filled < start + count {
      let got: Int
      do throws(FileStoreError) {
        got = try read(from: filled)
      } catch {
        throw SnapshotError(error)
      }
      guard got > 0 else { throw malformed("the file ends after \(position + filled) bytes, in the middle of a block") }
      filled += got
    }
  }

  private mutating func read(from filled: Int) throws(FileStoreError) -> Int {
    let reader = reader
    let result = block.withUnsafeMutableBytes { bytes in
      Result { () throws(FileStoreError) in
        try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[filled...]))
      }
    }
    return try result.get()
  }

  private func decoding<T>(_ body: (inout BinaryReader) throws(MalformedBlob) -> T) throws(SnapshotError) -> T {
    let result = block.withUnsafeBytes { bytes in
      Result { () throws(MalformedBlob) in
        var reader = BinaryReader(bytes, what: "block")
        return try body(&reader)
      }
    }
    do throws(MalformedBlob) {
      return try result.get()
    } catch {
      throw malformed(error)
    }
  }

  private func unpack(_ head: SnapshotBlockHead) throws(SnapshotError) -> [UInt8] {
    let result = block.withUnsafeBytes { bytes in
      Result { () throws(MalformedBlob) -> [UInt8] in
        let start = SnapshotBlockHead.byteCount
        let stored = UnsafeRawBufferPointer(rebasing: bytes[start..<start + head.storedBytes])
        switch head.codec {
        case 0: return try NoCompressor().decompress(stored, count: head.rawBytes)
        case compressor.formatCode: return try compressor.decompress(stored, count: head.rawBytes)
        default:
          throw MalformedBlob(what: "block", position: 1, reason: "compression \(head.codec) is not known here")
        }
      }
    }
    do throws(MalformedBlob) {
      return try result.get()
    } catch {
      throw malformed(error)
    }
  }

  private mutating func checkFooter(_ raw: [UInt8]) throws(SnapshotError) {
    totals.fileBytes = position
    totals.checksum = SnapshotBlockEncoder.fileChecksum(checksums)
    let result = raw.withUnsafeBytes { bytes in
      Result { () throws(MalformedBlob) in
        var reader = BinaryReader(bytes, what: "footer")
        return try SnapshotTotals(from: &reader)
      }
    }
    let said: SnapshotTotals
    do throws(MalformedBlob) {
      said = try result.get()
    } catch {
      throw malformed(error)
    }
    guard said == totals else { throw malformed("the footer does not fit the blocks: \(said), not \(totals)") }
    var byte: UInt8 = 0
    let extra: Int
    do throws(FileStoreError) {
      extra = try reader.readOne(&byte)
    } catch {
      throw SnapshotError(error)
    }
    guard extra == 0 else { throw malformed("something follows the footer") }
  }
}

extension FileStoreReader {
  fileprivate func readOne(_ byte: inout UInt8) throws(FileStoreError) -> Int {
    let result = withUnsafeMutableBytes(of: &byte) { bytes in
      Result { () throws(FileStoreError) in try read(into: bytes) }
    }
    return try result.get()
  }
}
