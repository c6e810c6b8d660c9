import FreshetCore
import FreshetTable

extension SnapshotHeader {
  func encode(into writer: inout BinaryWriter) {
    writer.write(kind.rawValue)
    writer.write(UInt8(copied == nil ? 0 : 1))
    writer.write(id.shard.value)
    writer.write(UInt16(shardCount))
    writer.write(UInt16(0))
    writer.write(id.number)
    writer.write(id.life)
    writer.write(parent?.number ?? 0)
    writer.write(parent?.life ?? 0)
    writer.write(parent?.checksum ?? 0)
    writer.write(takenAt.milliseconds)
    if let copied {
      writer.write(copied.generation)
      writer.write(copied.sequence)
      writer.write(copied.reported)
    }
    writer.write(newestMinutes)
    writer.write(UInt32(progress.count))
    for partition in progress {
      writer.write(partition.partition.value)
      writer.write(partition.watermark.value)
      writer.write(partition.origin.value)
    }
    writer.write(UInt16(tables.count))
    for table in tables { table.encode(into: &writer) }
  }

  init(from reader: inout BinaryReader) throws(MalformedBlob) {
    guard let kind = SnapshotKind(rawValue: try reader.read(UInt8.self)) else { throw reader.malformed("unknown kind") }
    let isCopy = try reader.read(UInt8.self)
    guard isCopy <= 1 else { throw reader.malformed("copy flag \(isCopy)") }
    self.kind = kind
    let shard = ShardID(try reader.read(UInt16.self))
    shardCount = Int(try reader.read(UInt16.self))
    guard try reader.read(UInt16.self) == 0 else { throw reader.malformed("two bytes that must be 0 are not") }
    guard Int(shard.value) < shardCount else { throw reader.malformed("shard \(shard) of \(shardCount)") }
    id = SnapshotID(shard: shard, number: try reader.read(), life: try reader.read())
    let parent = Parent(number: try reader.read(), life: try reader.read(), checksum: try reader.read())
    self.parent = kind == .delta ? parent : nil
    takenAt = UnixTime(milliseconds: try reader.read())
    copied =
      isCopy == 1
      ? CopiedPosition(generation: try reader.read(), sequence: try reader.read(), reported: try reader.read()) : nil
    newestMinutes = try reader.read()
    progress = []
    for _ in 0..<Int(try reader.read(UInt32.self)) {
      let partition = PartitionProgress(
        partition: PartitionID(try reader.read()), watermark: Offset(try reader.read()),
        origin: Offset(try reader.read()))
      guard partition.watermark >= .none, partition.origin >= .none else { throw reader.malformed("an offset below 0") }
      guard progress.last.map({ $0.partition < partition.partition }) ?? true else {
        throw reader.malformed("partition \(partition.partition) is out of order")
      }
      progress.append(partition)
    }
    tables = []
    for _ in 0..<Int(try reader.read(UInt16.self)) { tables.append(try TableSnapshot(from: &reader)) }
    try reader.finish()
  }
}

extension TableSnapshot {
  fileprivate func encode(into writer: inout BinaryWriter) {
    writer.write(shortText: shape.name)
    writer.write(UInt16(shape.width))
    writer.write(shape.weightFormat.code)
    writer.write(shape.optimizer.rawValue)
    writer.write(UInt32(shape.rowBytes))
    writer.write(minutes)
    writer.write(expiryCauses)
    writer.write(UInt8(head.isFull ? 1 : 0))
    writer.write(UInt64(head.rowCount))
    writer.write(head.newestMinutes)
    writer.write(head.evictionCursor)
    let statistics = head.statistics
    for count in [
      statistics.inserts, statistics.updates, statistics.removals, statistics.expired, statistics.evicted,
      statistics.rejected, statistics.nonFiniteGradients,
    ] { writer.write(count) }
    writer.write(head.sketchAdditions)
    writer.write(head.sketchNextLine)
    writer.write(UInt64(head.sketchBytes))
    writer.write(UInt8(head.generatorState.count))
    for word in head.generatorState { writer.write(word) }
  }

  fileprivate init(from reader: inout BinaryReader) throws(MalformedBlob) {
    let name = try reader.readShortText()
    let width = Int(try reader.read(UInt16.self))
    guard let format = WeightFormat(code: try reader.read()) else {
      throw reader.malformed("unknown format of weights")
    }
    guard let optimizer = OptimizerKind(rawValue: try reader.read()) else {
      throw reader.malformed("unknown optimizer")
    }
    shape = TableShape(
      name: name, width: width, weightFormat: format, optimizer: optimizer, rowBytes: Int(try reader.read(UInt32.self)))
    minutes = try reader.read()
    expiryCauses = try reader.read()
    let isFull = try reader.read(UInt8.self)
    guard isFull <= 1 else { throw reader.malformed("full flag \(isFull)") }
    let rowCount = Int(exactly: try reader.read(UInt64.self)) ?? -1
    let newestMinutes = try reader.read(UInt32.self)
    let evictionCursor = try reader.read(UInt32.self)
    var statistics = TableStatistics()
    statistics.inserts = try reader.read()
    statistics.updates = try reader.read()
    statistics.removals = try reader.read()
    statistics.expired = try reader.read()
    statistics.evicted = try reader.read()
    statistics.rejected = try reader.read()
    statistics.nonFiniteGradients = try reader.read()
    let sketchAdditions = try reader.read(UInt64.self)
    let sketchNextLine = try reader.read(UInt64.self)
    let sketchBytes = Int(exactly: try reader.read(UInt64.self)) ?? -1
    guard rowCount >= 0, sketchBytes >= 0 else { throw reader.malformed("a size below 0") }
    var generator: [UInt64] = []
    for _ in 0..<Int(try reader.read(UInt8.self)) { generator.append(try reader.read()) }
    head = TableCutHead(
      isFull: isFull == 1, rowCount: rowCount, newestMinutes: newestMinutes, statistics: statistics,
      evictionCursor: evictionCursor, sketchAdditions: sketchAdditions, sketchNextLine: sketchNextLine,
      generatorState: generator, sketchBytes: sketchBytes, removed: [])
  }
}

extension WeightFormat {
  /// What stands for it in files; never changes.
  /// Stands in files and in sync frames, and never changes.
  var code: UInt8 {
    switch self {
    case .float32: 0
    case .float16: 1
    case .bfloat16: 2
    }
  }

  init?(code: UInt8) {
    guard let format = Self.allCases.first(where: { $0.code == code }) else { return nil }
    self = format
  }
}
