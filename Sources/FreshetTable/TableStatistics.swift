/// What has happened to a table since it was made. One that was restored goes on counting where the cut was.
public struct TableStatistics: Sendable, Equatable {
  /// Fids that got a row.
  public var inserts: UInt64 = 0
  /// Gradients applied.
  public var updates: UInt64 = 0
  /// Rows that went away, for whatever reason.
  public var removals: UInt64 = 0
  /// Rows that had not been updated for the table's time to live: removed, or begun anew by an update.
  public var expired: UInt64 = 0
  /// Rows that gave way to others at the table's limit of rows.
  public var evicted: UInt64 = 0
  /// Gradients dropped because their fid had no row and was not admitted.
  public var rejected: UInt64 = 0
  /// Gradients skipped because of a NaN or an infinity.
  public var nonFiniteGradients: UInt64 = 0

  public init() {}

  public static func += (sum: inout TableStatistics, other: TableStatistics) {
    sum.inserts += other.inserts
    sum.updates += other.updates
    sum.removals += other.removals
    sum.expired += other.expired
    sum.evicted += other.evicted
    sum.rejected += other.rejected
    sum.nonFiniteGradients += other.nonFiniteGradients
  }
}

/// How a table is laid out in memory at this moment.
public struct TableOccupancy: Sendable, Equatable {
  public var rows: Int
  /// Of index, rows, admission sketch and change bits.
  public var bytes: Int
  public var strideBytes: Int
  /// Entries of the index in use, of those it has room for.
  public var loadFactor: Double
  /// Cache lines that a search of the index for a present fid reads, over a sample.
  public var meanProbes: Double
  public var maximumProbes: Int
  /// Whether the index is on its way to another size.
  public var isResizing: Bool
}
