import FreshetCore

/// The archived records of a partition from an offset on, file after file, each record once.
public struct ArchiveStream {
  private let store: any FileStore
  private let compressor: any BlockCompressor
  private let files: [ArchiveFileName]
  private var number: Int
  private var reader: ArchiveFileReader?
  private var block: ArchiveBlock?
  /// What comes next is at or above this.
  public private(set) var position: Offset

  /// - Parameter files: Of one partition, ascending (`ArchiveCatalog.files`).
  public init(
    _ files: [ArchiveFileName], from start: Offset, in store: any FileStore, compressor: any BlockCompressor
  ) {
    self.files = files
    self.store = store
    self.compressor = compressor
    position = start
    // Offsets between two files have no record, so the file that begins before it has what there is.
    number = max(0, (files.lastIndex { $0.first <= start }) ?? 0)
  }

  /// Calls `body` with the records of the next block.
  /// - Returns: False behind the last file.
  /// - Throws: `ArchiveError` if a file is damaged or missing.
  public mutating func next(_ body: (ArchivedRecord) throws -> Void) throws -> Bool {
    while number < files.count {
      if reader == nil { try begin() }
      guard let block = try reader!.next() else {
        position = max(position, reader!.footer!.end)
        reader = nil
        number += 1
        continue
      }
      let start = position
      try block.forEach { record in
        // Two writers may once have cut differently; the one that came first counts.
        guard record.offset >= start else { return }
        position = Offset(record.offset.value + 1)
        try body(record)
      }
      return true
    }
    return false
  }

  private mutating func begin() throws(ArchiveError) {
    let file = files[number]
    let opened = try ArchiveCatalog.open(file, in: store, compressor: compressor)
    guard opened.header.from <= position else {
      throw ArchiveError(
        .gap,
        "the archive of \(file.topic)[\(file.partition)] lacks the offsets \(position) ..< \(opened.header.from): a file before "
          + "\(file.name) is missing")
    }
    reader = opened
  }
}
