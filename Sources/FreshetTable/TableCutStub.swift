import FreshetCore

public struct TableRows: Sendable {
  public var fids: [Fid] = []
  public var minutes: [UInt32] = []
  public var bytes: [UInt8] = []
  public init() {}
}
public struct TableCutHead: Sendable, Equatable {
  public var isFull = true
  public var rowCount = 0
  public var newestMinutes: UInt32 = 0
  public var statistics = TableStatistics()
  public var evictionCursor: UInt32 = 0
  public var sketchAdditions: UInt64 = 0
  public var sketchNextLine: UInt64 = 0
  public var generatorState: [UInt64] = []
  public var sketchBytes = 0
  public var removed: [[Fid]] = []
  public init() {}
  public init(isFull: Bool, rowCount: Int, newestMinutes: UInt32, statistics: TableStatistics, evictionCursor: UInt32, sketchAdditions: UInt64, sketchNextLine: UInt64, generatorState: [UInt64], sketchBytes: Int, removed: [[Fid]]) {}
}
extension TableLayout { public var rowBytes: Int { strideBytes } }
extension EmbeddingTable {
  public func beginCut(isFull: Bool) -> TableCutHead { fatalError() }
  public func takeCutRows(limit: Int, into rows: inout TableRows) -> Bool { fatalError() }
  public func takeCutSketch(limit bytes: Int) -> [UInt8] { fatalError() }
  public var cutSideBytes: Int { fatalError() }
  public func endCut() { fatalError() }
  public func abandonCut() { fatalError() }
  public func restore(_ head: TableCutHead) { fatalError() }
  public func restore(removed: [Fid]) { fatalError() }
  public func restore(rows: TableRows) { fatalError() }
  public func restore(sketch: [UInt8], at offset: Int) { fatalError() }
}
