import FreshetCore

/// The files of one topic in a store.
public struct ArchiveCatalog: Sendable {
  public let topic: String
  /// By partition, ascending by first offset.
  public let files: [PartitionID: [ArchiveFileName]]

  /// Lists the files of one content; others in the store do not count.
  public init(topic: String, content: ArchiveContent, in store: any FileStore) throws(ArchiveError) {
    self.topic = topic
    var files: [PartitionID: [ArchiveFileName]] = [:]
    for file in try Self.list(store, ArchiveFileName.prefix(topic: topic)) {
      guard let name = ArchiveFileName(file.name), name.topic == topic, name.content == content else { continue }
      files[name.partition, default: []].append(name)
    }
    self.files = files.mapValues { $0.sorted { $0.first < $1.first } }
  }

  private static func list(_ store: any FileStore, _ prefix: String) throws(ArchiveError) -> [StoredFile] {
    do throws(FileStoreError) {
      return try store.list(prefix: prefix)
    } catch {
      throw ArchiveError(error)
    }
  }

  /// Opens a file and reads its header.
  public static func open(
    _ file: ArchiveFileName, in store: any FileStore, compressor: any BlockCompressor
  ) throws(ArchiveError) -> ArchiveFileReader {
    try ArchiveFileReader(
      file, data: try source(file.name, in: store), sections: try sections(of: file, in: store), compressor: compressor)
  }

  private static func source(_ name: String, in store: any FileStore) throws(ArchiveError) -> ArchiveSource {
    do throws(FileStoreError) {
      return ArchiveSource(name: name, reader: try store.open(name))
    } catch {
      throw ArchiveError(error)
    }
  }

  /// nil if they lie between the file's data.
  private static func sections(
    of file: ArchiveFileName, in store: any FileStore
  ) throws(ArchiveError) -> ArchiveSource? {
    guard let name = file.sectionsName else { return nil }
    do throws(FileStoreError) {
      return ArchiveSource(name: name, reader: try store.open(name))
    } catch {
      // They were there before the file was.
      guard error.kind == .notFound else { throw ArchiveError(error) }
      throw ArchiveError(.malformed, "\(file.name): its sections are missing, \(name)")
    }
  }

  /// Reads a file to its end, and with that proves that it is whole.
  public static func verify(
    _ file: ArchiveFileName, in store: any FileStore, compressor: any BlockCompressor
  ) throws(ArchiveError) -> (header: ArchiveHeader, footer: ArchiveFooter) {
    var reader = try open(file, in: store, compressor: compressor)
    while try reader.next() != nil {}
    return (reader.header, reader.footer!)
  }

  /// Which offsets of a partition the archive has; nil if none. Reads the newest file, so it is whole.
  ///
  /// Whether every file in between is there, an `ArchiveStream` finds out.
  public func range(
    of partition: PartitionID, in store: any FileStore, compressor: any BlockCompressor
  ) throws(ArchiveError) -> Range<Offset>? {
    guard let files = files[partition], let newest = files.last else { return nil }
    let start = try Self.open(files[0], in: store, compressor: compressor).header.from
    do throws(ArchiveError) {
      return start..<(try Self.verify(newest, in: store, compressor: compressor)).footer.end
    } catch {
      guard error.kind == .malformed else { throw error }
      throw ArchiveError(
        .malformed,
        "\(error.message): the newest file of \(topic)[\(partition)] is damaged. Remove it, and it is written again")
    }
  }
}

/// Where the archive of a partition goes on.
public enum ArchiveStart {
  /// - Parameters:
  ///   - archived: What the store has.
  ///   - log: What Kafka has.
  /// - Returns: The offset, and how many were lost before it, which is 0 unless `allowsGap`.
  /// - Throws: If Kafka has deleted what the archive does not have, or has less than the archive.
  public static func position(
    of partition: PartitionID, topic: String, archived: Range<Offset>?, log: Range<Offset>, allowsGap: Bool
  ) throws(ArchiveError) -> (start: Offset, lost: Int64) {
    guard let archived else { return (log.lowerBound, 0) }
    guard archived.upperBound <= log.upperBound else {
      throw ArchiveError(
        .gap,
        "\(topic)[\(partition)] ends at \(log.upperBound), but the archive has offsets up to \(archived.upperBound): was the "
          + "topic deleted and made anew? Archive it to another store, or move the old files away")
    }
    guard archived.upperBound < log.lowerBound else { return (archived.upperBound, 0) }
    let lost = log.lowerBound.value - archived.upperBound.value
    guard allowsGap else {
      throw ArchiveError(
        .gap,
        "\(topic)[\(partition)] begins at \(log.lowerBound), but the archive has only the offsets below "
          + "\(archived.upperBound): Kafka has deleted \(lost). Lengthen the topic's retention, or accept the loss with --allow-gap"
      )
    }
    return (log.lowerBound, lost)
  }
}
