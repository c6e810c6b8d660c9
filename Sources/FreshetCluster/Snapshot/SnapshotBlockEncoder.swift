import FreshetCore
import FreshetModel
import FreshetTable

/// Turns the parts of a data file into its bytes.
struct SnapshotBlockEncoder {
  static let magic = Array("FRSHSNAP".utf8)
  static let version: UInt16 = 1
  /// Magic, version, six zero bytes: what a file begins with, before its blocks.
  static let prelude: [UInt8] = magic + [UInt8(version & 0xff), UInt8(version >> 8)] + [0, 0, 0, 0, 0, 0]

  private let compressor: any BlockCompressor
  private(set) var totals = SnapshotTotals()
  private var checksums: [UInt64] = []
  /// Raw bytes of the block in hand.
  private var raw: [UInt8] = []

  init(compressor: any BlockCompressor) {
    self.compressor = compressor
    totals.fileBytes = Self.prelude.count
  }

  mutating func encode(_ header: SnapshotHeader) -> [UInt8] {
    var writer = BinaryWriter(capacity: 4096)
    header.encode(into: &writer)
    raw = writer.bytes
    // As it is: one can read the names of tables in it.
    return seal(SnapshotBlockHead(content: .header, number: totals.blocks), compress: false)
  }

  /// - Precondition: Not `end`.
  mutating func encode(_ part: SnapshotPart) -> [UInt8] {
    switch part {
    case .tombstones(let table, let fids):
      setRaw(fids.count * 8)
      fids.withUnsafeBytes { split($0, at: 0) }
      return seal(
        SnapshotBlockHead(
          content: .tombstones, isSplit: true, table: table, number: totals.blocks, count: fids.count), compress: true)
    case .rows(let table, let rows):
      setRaw(rows.fids.count * 12 + rows.bytes.count)
      rows.fids.withUnsafeBytes { split($0, at: 0) }
      rows.minutes.withUnsafeBytes { split($0, at: rows.fids.count * 8) }
      rows.bytes.withUnsafeBytes { split($0, at: rows.fids.count * 12) }
      return seal(
        SnapshotBlockHead(
          content: .rows, isSplit: true, table: table, number: totals.blocks, count: rows.fids.count), compress: true)
    case .sketch(let table, let offset, let bytes):
      raw = bytes
      return seal(
        SnapshotBlockHead(content: .sketch, table: table, number: totals.blocks, position: UInt64(offset)),
        compress: true)
    case .validation(let partition, let task, let validation):
      var writer = BinaryWriter(capacity: 1 << 16)
      validation.encode(into: &writer)
      setRaw(writer.count)
      writer.bytes.withUnsafeBytes { split($0, at: 0) }
      return seal(
        SnapshotBlockHead(
          content: .validation, isSplit: true, number: totals.blocks, count: task,
          position: UInt64(UInt32(bitPattern: partition.value))), compress: true)
    case .end: preconditionFailure("the end of a file is its footer")
    }
  }

  mutating func encodeFooter() -> (bytes: [UInt8], totals: SnapshotTotals) {
    totals.checksum = Self.fileChecksum(checksums)
    totals.fileBytes += SnapshotBlockHead.byteCount + SnapshotTotals.byteCount + SnapshotBlockHead.checksumBytes
    let totals = totals
    var writer = BinaryWriter(capacity: SnapshotTotals.byteCount)
    totals.encode(into: &writer)
    raw = writer.bytes
    return (seal(SnapshotBlockHead(content: .footer, number: totals.blocks), compress: false), totals)
  }

  /// Of the prelude and the checksums of all blocks before the footer, in order: it tells a file whose blocks were left out,
  /// repeated or exchanged, and is known without reading anything twice.
  static func fileChecksum(_ checksums: [UInt64]) -> UInt64 {
    var writer = BinaryWriter(capacity: 16 + checksums.count * 8)
    prelude.withUnsafeBytes { writer.write($0) }
    for checksum in checksums { writer.write(checksum) }
    return writer.bytes.withUnsafeBytes { Hashing.xxh3($0) }
  }

  private mutating func setRaw(_ count: Int) {
    if raw.count > count { raw.removeLast(raw.count - count) }
    if raw.count < count { raw.append(contentsOf: repeatElement(0, count: count - raw.count)) }
  }

  private mutating func split(_ source: UnsafeRawBufferPointer, at position: Int) {
    raw.withUnsafeMutableBytes { BytePlanes.split(source, into: $0.baseAddress! + position) }
  }

  /// The block of what is in `raw`. Bytes that compression does not make fewer are stored as they are.
  private mutating func seal(_ given: SnapshotBlockHead, compress: Bool) -> [UInt8] {
    precondition(raw.count <= SnapshotLimits.blockBytes, "a block of \(raw.count) bytes")
    var head = given
    head.rawBytes = raw.count
    let packed = compress ? raw.withUnsafeBytes { compressor.compress($0) } : []
    let isPacked = compress && packed.count < raw.count
    head.codec = isPacked ? compressor.formatCode : 0
    head.storedBytes = isPacked ? packed.count : raw.count
    var writer = BinaryWriter(
      capacity: SnapshotBlockHead.byteCount + head.storedBytes + SnapshotBlockHead.checksumBytes)
    head.encode(into: &writer)
    (isPacked ? packed : raw).withUnsafeBytes { writer.write($0) }
    let checksum = writer.bytes.withUnsafeBytes { Hashing.xxh3($0) }
    writer.write(checksum)
    if given.content != .footer {
      checksums.append(checksum)
      totals.add(head)
      totals.fileBytes += writer.count
    }
    return writer.bytes
  }
}
