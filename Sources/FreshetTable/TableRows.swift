import FreshetCore

/// Rows as they lie in a table, expired ones included.
public struct TableRows: Sendable, Equatable {
  public var fids: [Fid] = []
  /// Event time of each row's last update, in minutes since 1970.
  public var minutes: [UInt32] = []
  /// `count × rowBytes` of the table's layout.
  public var bytes: [UInt8] = []

  public init() {}

  public var count: Int { fids.count }

  public mutating func removeAll(keepingCapacity: Bool) {
    fids.removeAll(keepingCapacity: keepingCapacity)
    minutes.removeAll(keepingCapacity: keepingCapacity)
    bytes.removeAll(keepingCapacity: keepingCapacity)
  }

  /// Makes room for rows, if there are none yet. (Reserved before every addition, arrays would be copied at each.)
  mutating func reserve(_ rows: Int, rowBytes: Int) {
    guard fids.isEmpty else { return }
    fids.reserveCapacity(rows)
    minutes.reserveCapacity(rows)
    bytes.reserveCapacity(rows * rowBytes)
  }
}

/// What a cut holds beside rows and sketch, of the same instant.
public struct TableCutHead: Sendable, Equatable {
  /// Whether the cut delivers all rows, or those that were touched since the last cut.
  public var isFull: Bool
  /// Rows that the cut delivers.
  public var rowCount: Int
  /// Event time of the newest update, in minutes since 1970.
  public var newestMinutes: UInt32
  public var statistics: TableStatistics
  /// Where the next sample for eviction begins.
  public var evictionCursor: UInt32
  /// Of the admission sketch: what it has counted, and the line that it halves next.
  public var sketchAdditions: UInt64
  public var sketchNextLine: UInt64
  /// Bytes of the sketch, 0 if the table has none.
  public var sketchBytes: Int
  /// Of the generator that admission by probability draws from: one word.
  public var generatorState: [UInt64]
  /// Fids whose rows were removed since the last cut, in chunks, repetitions and fids that have a row again included: they
  /// are to be removed before the rows of this cut are restored. Empty in a full cut.
  public var removed: [[Fid]]

  public init(
    isFull: Bool, rowCount: Int, newestMinutes: UInt32, statistics: TableStatistics, evictionCursor: UInt32,
    sketchAdditions: UInt64, sketchNextLine: UInt64, generatorState: [UInt64], sketchBytes: Int, removed: [[Fid]]
  ) {
    self.isFull = isFull
    self.rowCount = rowCount
    self.newestMinutes = newestMinutes
    self.statistics = statistics
    self.evictionCursor = evictionCursor
    self.sketchAdditions = sketchAdditions
    self.sketchNextLine = sketchNextLine
    self.generatorState = generatorState
    self.sketchBytes = sketchBytes
    self.removed = removed
  }
}
