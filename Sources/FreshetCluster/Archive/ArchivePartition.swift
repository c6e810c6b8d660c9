import FreshetCore

/// What happens to the archive of a partition.
public enum ArchiveEvent {
  /// The next record; valid during the call.
  case record(ArchivedRecord)
  /// Every record that the log has was passed on.
  case caughtUp(wallTime: UnixTime)
  /// The file that ends here is durable and visible.
  case stored(end: Offset)
  /// The store could not do what was asked; what was asked after it has not been tried.
  case failed(ArchiveError)
  case tick
}

/// What the archive of a partition wants done, in order.
public enum ArchiveAction {
  /// Pass on records from this offset on.
  case read(from: Offset)
  case pause
  case create(ArchiveFileName)
  case write([UInt8])
  /// Write a small file, whole: it is durable and visible before anything that follows is done.
  case put(name: String, [UInt8])
  /// Make the file durable, then visible.
  case finish(end: Offset)
  case abandon
  /// Tell Kafka's group how far the archive is. For lag tools only: the files say where to go on.
  case commit(Offset)
  case notice(String)
}

/// The archive of one partition without its store and its consumer: cuts the log into files (docs/archive-format.md).
///
/// What is in the store is the truth about how far it is. A file is begun where the one before it ends and cut where the log
/// says, so what a killed writer left unfinished is written again with the same bytes under the same name.
public final class ArchivePartition {
  enum Phase: Equatable {
    case waiting(until: Instant)
    case reading
  }

  public let topic: String
  public let partition: PartitionID
  private let content: ArchiveContent
  private let settings: ArchiveSettings
  private let compressor: any BlockCompressor
  private var phase: Phase
  private var backoff: Backoff
  /// Everything below is in the store.
  public private(set) var durable: Offset
  /// Where the next file begins.
  private var next: Offset
  private var encoder: ArchiveFileEncoder?
  /// Of the open file: the newest window of its records, and their bytes.
  private var window: Int64 = 0
  private var bytes = 0
  private var openBytes: UInt64 = 0
  /// Closed files whose `stored` has not come.
  private var closed: [(end: Offset, records: Int, bytes: UInt64)] = []
  private var actions: [ArchiveAction] = []
  private var line = JSONLineWriter()
  public private(set) var statistics = ArchiveStatistics()

  /// - Parameter start: Where the archive ends so far (`ArchiveStart`).
  public init(
    topic: String, partition: PartitionID, content: ArchiveContent, settings: ArchiveSettings,
    compressor: any BlockCompressor, start: Offset, now: Instant, seed: UInt64
  ) {
    self.topic = topic
    self.partition = partition
    self.content = content
    self.settings = settings
    self.compressor = compressor
    phase = .waiting(until: now)
    backoff = Backoff(baseMs: settings.retryBaseMs, capMs: settings.retryCapMs, seed: seed)
    durable = start
    next = start
  }

  /// Records of the open file.
  public var openRecords: Int { encoder?.records ?? 0 }
  public var isReading: Bool { phase == .reading }

  public func handle(_ event: ArchiveEvent, now: Instant) throws(ArchiveError) -> [ArchiveAction] {
    actions.removeAll(keepingCapacity: true)
    switch event {
    case .record(let record):
      // What comes while the store is down is read again.
      if phase == .reading, record.offset >= next { try append(record) }
    case .caughtUp(let wallTime):
      if encoder != nil, wallTime.milliseconds >= (window + 1) * settings.windowMs + settings.closeAfterMs { close() }
    case .stored(let end): stored(end)
    case .failed(let error): failed(error, now)
    case .tick:
      if case .waiting(let until) = phase, now >= until {
        phase = .reading
        actions.append(.read(from: durable))
      }
    }
    return actions
  }

  private func append(_ record: ArchivedRecord) throws(ArchiveError) {
    let size = (record.key?.count ?? 0) + (record.value?.count ?? 0)
    guard size <= ArchiveSection.maximumRecordBytes else {
      throw ArchiveError(
        .unsupported,
        "\(topic)[\(partition)]@\(record.offset) has \(size) bytes, an archive takes records of up to "
          + "\(ArchiveSection.maximumRecordBytes)")
    }
    if mustCut(before: record, size) { close() }
    if encoder == nil { open(record) }
    switch content {
    case .records: encoder!.append(record)
    case .jsonLines: encoder!.append(record, asLine: line.line(record, partition: partition))
    }
    window = max(window, settings.window(of: record.time))
    bytes += size
    next = Offset(record.offset.value + 1)
    // The head of a file goes with its first block.
    if encoder!.output.count > 4096 { flush() }
  }

  private func mustCut(before record: ArchivedRecord, _ size: Int) -> Bool {
    guard let encoder else { return false }
    return record.offset.value / settings.spanOffsets != encoder.header.first.value / settings.spanOffsets
      || settings.window(of: record.time) > window || bytes + size > settings.fileBytes
  }

  private func open(_ record: ArchivedRecord) {
    let header = ArchiveHeader(
      topic: topic, partition: partition, content: content, codec: compressor.formatCode, from: next,
      first: record.offset, firstTime: record.time)
    encoder = ArchiveFileEncoder(header: header, compressor: compressor, blockBytes: settings.blockBytes)
    window = settings.window(of: record.time)
    bytes = 0
    openBytes = 0
    actions.append(.create(header.name))
  }

  private func flush() {
    let output = encoder!.takeOutput()
    guard !output.isEmpty else { return }
    openBytes += UInt64(output.count)
    actions.append(.write(output))
  }

  private func close() {
    let footer = encoder!.finish()
    flush()
    if let name = encoder!.header.name.sectionsName {
      // Before the file that they belong to: one that is visible is complete.
      let sections = encoder!.sections.bytes
      openBytes += UInt64(sections.count)
      actions.append(.put(name: name, sections))
    }
    encoder = nil
    next = footer.end
    closed.append((footer.end, footer.records, openBytes))
    actions.append(.finish(end: footer.end))
  }

  private func stored(_ end: Offset) {
    guard let file = closed.first, file.end == end else { return }
    closed.removeFirst()
    durable = end
    statistics.files += 1
    statistics.records += UInt64(file.records)
    statistics.storedBytes += file.bytes
    backoff.reset()
    actions.append(.commit(end))
  }

  private func failed(_ error: ArchiveError, _ now: Instant) {
    let waitMs = backoff.next()
    phase = .waiting(until: now.advanced(byMs: waitMs))
    encoder = nil
    closed = []
    next = durable
    statistics.failures += 1
    actions += [
      .abandon, .pause,
      .notice("\(topic)[\(partition)]: \(error); going on from offset \(durable) in \(waitMs) ms"),
    ]
  }
}
