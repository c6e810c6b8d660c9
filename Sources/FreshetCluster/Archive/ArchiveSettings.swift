import FreshetCore

/// Where files of an archive are cut, and what writing them may cost.
///
/// The cuts are a function of the log alone, from wherever a file began: a record begins a new file if its offset is in another
/// span of `spanOffsets`, if its time is in a later window than every record of the file, or if the file would outgrow
/// `fileBytes`. Two writers that begin at different places therefore agree again at the next multiple of the span.
public struct ArchiveSettings: Sendable, Equatable {
  /// Offsets from one multiple of this to the next share a file, at most.
  public var spanOffsets: Int64
  /// Keys and values of a file, in bytes before compression; a single record may be larger.
  public var fileBytes: Int
  /// Of the records' times; divides a day, so that no file begins on one day and grows on the next.
  public var windowMs: Int64
  /// How long after its window's end a file is closed by the wall clock, where no record of the next window has come.
  public var closeAfterMs: Int64
  /// A block is compressed when it has so many bytes.
  public var blockBytes: Int
  /// Pause after the store has failed: `Backoff`.
  public var retryBaseMs: Int
  public var retryCapMs: Int

  public init(
    spanOffsets: Int64, fileBytes: Int, windowMs: Int64, closeAfterMs: Int64, blockBytes: Int = 256 << 10,
    retryBaseMs: Int = 500, retryCapMs: Int = 30_000
  ) {
    precondition(spanOffsets > 0 && fileBytes > 0 && blockBytes > 0 && closeAfterMs >= 0)
    precondition(windowMs > 0 && ArchiveDay.milliseconds % windowMs == 0)
    self.spanOffsets = spanOffsets
    self.fileBytes = fileBytes
    self.windowMs = windowMs
    self.closeAfterMs = closeAfterMs
    self.blockBytes = blockBytes
    self.retryBaseMs = retryBaseMs
    self.retryCapMs = retryCapMs
  }

  func window(of time: UnixTime) -> Int64 { max(0, time.milliseconds) / windowMs }
}

/// Of one partition's archive.
public struct ArchiveStatistics: Sendable, Equatable {
  /// In files that are in the store.
  public var records: UInt64 = 0
  public var files: UInt64 = 0
  public var storedBytes: UInt64 = 0
  /// How often the store failed.
  public var failures: UInt64 = 0

  public init() {}

  public mutating func add(_ other: ArchiveStatistics) {
    records += other.records
    files += other.files
    storedBytes += other.storedBytes
    failures += other.failures
  }
}
