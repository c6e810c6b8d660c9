import FreshetCore
import FreshetTable

/// A piece of a shard on its way to a replica: a delta (rows touched between two sequences), or a chunk of a base.
///
/// Layout of a frame: `u8 version = 2, u8 kind (0 delta, 1 base), u16 shard, u64 generation, u64 sequence, u8 compression,
/// u8 × 3 zero, u32 body bytes, u32 bytes as sent`, the body (possibly compressed), `u64` XXH3 of all bytes before it.
///
/// Body: for a base `u8 table, u64 cursor` where the chunk begins, `u8 table, u64 cursor` where the next one does, `u8 last`;
/// then `u32` newest event minutes; `u64` examples reported; `u16` watermarks, each
/// `i32 partition, i64 offset`; `u32` receipts, each `i32 partition, i64 end, u32 examples, i64 oldest ms, i64 newest ms`;
/// `u8` tables, each `u8 table, u8 format of weights (0 fp32, 1 fp16, 2 bf16), u16 width, u32 rows, u32 tombstones`, the rows'
/// fids, the tombstones' fids, the rows' weights.
public struct SyncFrame: Sendable {
  public static let version: UInt8 = 2
  static let headBytes = 32

  public enum Kind: Sendable, Equatable {
    case delta
    /// - Parameters:
    ///   - from: Where the chunk begins: a replica takes only the chunk that it waits for.
    ///   - next: Where the base continues; nil after its last chunk.
    case base(from: ShardPosition.BaseCursor, next: ShardPosition.BaseCursor?)
  }

  public struct Table: Sendable, Equatable {
    public let table: Int
    public let width: Int
    /// What the weights travel as.
    public let format: WeightFormat
    public var fids: [Fid]
    public var tombstones: [Fid]
    /// Row-major `fids.count × width`; encoding rounds them to the format.
    public var weights: [Float]

    public init(table: Int, width: Int, format: WeightFormat, fids: [Fid], tombstones: [Fid], weights: [Float]) {
      self.table = table
      self.width = width
      self.format = format
      self.fids = fids
      self.tombstones = tombstones
      self.weights = weights
    }
  }

  public let kind: Kind
  public let shard: ShardID
  public let generation: UInt64
  /// A delta's own number; for a base chunk the number of the last delta that it includes.
  public let sequence: UInt64
  public let newestMinutes: UInt32
  /// Examples that the shard's receipts of this generation have stood for, up to this sequence: a replica that gets a base in
  /// place of deltas sees by it how many it has no receipt for.
  public let reported: UInt64
  public let watermarks: [(partition: PartitionID, offset: Offset)]
  public let receipts: [BatchReceipt]
  public let tables: [Table]

  public init(
    kind: Kind, shard: ShardID, generation: UInt64, sequence: UInt64, newestMinutes: UInt32, reported: UInt64,
    watermarks: [(partition: PartitionID, offset: Offset)], receipts: [BatchReceipt], tables: [Table]
  ) {
    self.kind = kind
    self.shard = shard
    self.generation = generation
    self.sequence = sequence
    self.newestMinutes = newestMinutes
    self.reported = reported
    self.watermarks = watermarks
    self.receipts = receipts
    self.tables = tables
  }

  // MARK: - Encoding

  public func encode(compressor: some BlockCompressor) -> [UInt8] {
    let body = encodeBody()
    let sent = body.withUnsafeBytes { compressor.compress($0) }
    var writer = BinaryWriter(capacity: Self.headBytes + sent.count + 8)
    writer.write(Self.version)
    writer.write(UInt8(kind == .delta ? 0 : 1))
    writer.write(shard.value)
    writer.write(generation)
    writer.write(sequence)
    writer.write(compressor.formatCode)
    for _ in 0..<3 { writer.write(UInt8(0)) }
    writer.write(UInt32(body.count))
    writer.write(UInt32(sent.count))
    sent.withUnsafeBytes { writer.write($0) }
    writer.write(writer.bytes.withUnsafeBytes { Hashing.xxh3($0) })
    return writer.bytes
  }

  private func encodeBody() -> [UInt8] {
    let rowBytes = tables.reduce(0) {
      $0 + $1.fids.count * (8 + $1.format.byteCount * $1.width) + $1.tombstones.count * 8
    }
    var writer = BinaryWriter(capacity: rowBytes + 96 + watermarks.count * 12 + receipts.count * 32)
    if case .base(let from, let next) = kind {
      writer.write(UInt8(from.table))
      writer.write(from.cursor)
      writer.write(UInt8(next?.table ?? 0))
      writer.write(next?.cursor ?? 0)
      writer.write(UInt8(next == nil ? 1 : 0))
    }
    writer.write(newestMinutes)
    writer.write(reported)
    writer.write(UInt16(watermarks.count))
    for (partition, offset) in watermarks {
      writer.write(partition.value)
      writer.write(offset.value)
    }
    writer.write(UInt32(receipts.count))
    for receipt in receipts {
      writer.write(receipt.partition.value)
      writer.write(receipt.end.value)
      // Merged receipts add up; a count is for display.
      writer.write(UInt32(clamping: receipt.exampleCount))
      writer.write(receipt.oldestIngest.milliseconds)
      writer.write(receipt.newestIngest.milliseconds)
    }
    writer.write(UInt8(tables.count))
    for table in tables {
      writer.write(UInt8(table.table))
      writer.write(table.format.code)
      writer.write(UInt16(table.width))
      writer.write(UInt32(table.fids.count))
      writer.write(UInt32(table.tombstones.count))
      table.fids.withUnsafeBufferPointer { writer.write(fids: $0) }
      table.tombstones.withUnsafeBufferPointer { writer.write(fids: $0) }
      table.weights.withUnsafeBufferPointer { weights in
        if table.format == .float32 { return writer.write(floats: weights) }
        writer.writeUninitialized(count: weights.count * table.format.byteCount) { output in
          if let start = output.baseAddress { table.format.encode(weights, into: start) }
        }
      }
    }
    return writer.bytes
  }

  // MARK: - Decoding

  /// - Parameters:
  ///   - compressor: Decompresses bodies of its own format.
  ///   - maximumBodyBytes: A body that announces more is refused before memory is taken for it.
  public init(
    decoding bytes: UnsafeRawBufferPointer, compressor: some BlockCompressor, maximumBodyBytes: Int
  ) throws(MalformedBlob) {
    var reader = BinaryReader(bytes, what: "sync frame")
    guard bytes.count >= Self.headBytes + 8 else { throw reader.malformed("\(bytes.count) bytes are too few") }
    let covered = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 8)])
    let checksum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self))
    guard Hashing.xxh3(covered) == checksum else { throw reader.malformed("the checksum does not match") }
    let version = try reader.read(UInt8.self)
    guard version == Self.version else { throw reader.malformed("version \(version), not \(Self.version)") }
    let kindCode = try reader.read(UInt8.self)
    guard kindCode <= 1 else { throw reader.malformed("kind \(kindCode)") }
    shard = ShardID(try reader.read(UInt16.self))
    generation = try reader.read()
    sequence = try reader.read()
    let format = try reader.read(UInt8.self)
    _ = try reader.readBytes(3)
    let bodyCount = Int(try reader.read(UInt32.self))
    let sentCount = Int(try reader.read(UInt32.self))
    guard bodyCount <= maximumBodyBytes else { throw reader.malformed("a body of \(bodyCount) bytes is too large") }
    let sent = try reader.readBytes(sentCount)
    guard reader.remaining == 8 else { throw reader.malformed("\(reader.remaining) bytes after the body") }
    let body: [UInt8]
    switch format {
    case NoCompressor().formatCode: body = try NoCompressor().decompress(sent, count: bodyCount)
    case compressor.formatCode: body = try compressor.decompress(sent, count: bodyCount)
    default: throw reader.malformed("compression \(format) is not known here")
    }
    let decoded = try Body(decoding: body, isBase: kindCode == 1)
    kind = decoded.from.map { .base(from: $0, next: decoded.next) } ?? .delta
    newestMinutes = decoded.newestMinutes
    reported = decoded.reported
    watermarks = decoded.watermarks
    receipts = decoded.receipts
    tables = decoded.tables
  }
}

/// The decoded body of a `SyncFrame`.
private struct Body {
  /// nil in a delta.
  var from: ShardPosition.BaseCursor?
  var next: ShardPosition.BaseCursor?
  var newestMinutes: UInt32 = 0
  var reported: UInt64 = 0
  var watermarks: [(partition: PartitionID, offset: Offset)] = []
  var receipts: [BatchReceipt] = []
  var tables: [SyncFrame.Table] = []

  init(decoding bytes: [UInt8], isBase: Bool) throws(MalformedBlob) {
    let result = bytes.withUnsafeBytes { raw in
      Result { () throws(MalformedBlob) -> Body in
        var reader = BinaryReader(raw, what: "sync frame's body")
        return try Body(from: &reader, isBase: isBase)
      }
    }
    self = try result.get()
  }

  private init(from reader: inout BinaryReader, isBase: Bool) throws(MalformedBlob) {
    if isBase {
      from = ShardPosition.BaseCursor(table: Int(try reader.read(UInt8.self)), cursor: try reader.read())
      let table = Int(try reader.read(UInt8.self))
      let cursor = try reader.read(UInt64.self)
      let isLast = try reader.read(UInt8.self)
      guard isLast <= 1 else { throw reader.malformed("last flag \(isLast)") }
      next = isLast == 1 ? nil : ShardPosition.BaseCursor(table: table, cursor: cursor)
    }
    newestMinutes = try reader.read()
    reported = try reader.read()
    for _ in 0..<Int(try reader.read(UInt16.self)) {
      let partition = PartitionID(try reader.read(Int32.self))
      watermarks.append((partition, Offset(try reader.read(Int64.self))))
    }
    for _ in 0..<Int(try reader.read(UInt32.self)) {
      receipts.append(
        BatchReceipt(
          partition: PartitionID(try reader.read(Int32.self)), end: Offset(try reader.read(Int64.self)),
          exampleCount: Int(try reader.read(UInt32.self)), oldestIngest: UnixTime(milliseconds: try reader.read()),
          newestIngest: UnixTime(milliseconds: try reader.read())))
    }
    for _ in 0..<Int(try reader.read(UInt8.self)) { tables.append(try Self.table(from: &reader)) }
    try reader.finish()
  }

  private static func table(from reader: inout BinaryReader) throws(MalformedBlob) -> SyncFrame.Table {
    let table = Int(try reader.read(UInt8.self))
    guard let format = WeightFormat(code: try reader.read()) else {
      throw reader.malformed("unknown format of weights")
    }
    let width = Int(try reader.read(UInt16.self))
    let rows = Int(try reader.read(UInt32.self))
    let tombstones = Int(try reader.read(UInt32.self))
    guard rows <= reader.remaining / 8, tombstones <= reader.remaining / 8 else {
      throw reader.malformed("\(rows) rows and \(tombstones) tombstones announced, too few bytes")
    }
    let fids = try array(of: Fid.self, count: rows, from: &reader)
    let dead = try array(of: Fid.self, count: tombstones, from: &reader)
    let weights = try weights(format, count: rows * width, from: &reader)
    return SyncFrame.Table(table: table, width: width, format: format, fids: fids, tombstones: dead, weights: weights)
  }

  private static func weights(
    _ format: WeightFormat, count: Int, from reader: inout BinaryReader
  ) throws(MalformedBlob) -> [Float] {
    let raw = try reader.readBytes(count * format.byteCount)
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let source = raw.baseAddress, let target = buffer.baseAddress {
        format.decode(source, count: count, into: target)
      }
      initialized = count
    }
  }

  /// Copies packed elements to where they are aligned.
  private static func array<Element: BitwiseCopyable>(
    of type: Element.Type, count: Int, from reader: inout BinaryReader
  ) throws(MalformedBlob) -> [Element] {
    let raw = try reader.readBytes(count * MemoryLayout<Element>.stride)
    return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(from: raw)
      initialized = count
    }
  }
}
