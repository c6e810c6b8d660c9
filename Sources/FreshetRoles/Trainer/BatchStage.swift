import FreshetCluster
import FreshetCore
import FreshetStore
import Logging

/// What a trainer learns from before it follows the log.
public struct BatchStage: Sendable {
  public enum Source: String, Sendable, CaseIterable {
    /// What `freshet archive` has written, then Kafka from there on.
    case archive
    /// Kafka's oldest record on.
    case beginning
  }

  /// nil: no batch stage.
  public let source: Source?
  /// How often everything before the log's present end, or the archive's, is learned. The last time is the stream itself.
  public let epochs: Int
  /// The epochs but the last end with the files of the day before this one.
  public let until: ArchiveDay?

  public static let none = BatchStage(source: nil)

  private init(source: Source?) {
    self.source = source
    epochs = 1
    until = nil
  }

  /// - Throws: `UsageError` if they do not go together.
  public init(source: Source?, epochs: Int, until: String?) throws(UsageError) {
    guard (1...PartitionID.maximumPasses + 1).contains(epochs) else {
      throw UsageError("--epochs \(epochs) is outside 1...\(PartitionID.maximumPasses + 1)")
    }
    guard source != nil || (epochs == 1 && until == nil) else {
      throw UsageError("--epochs and --until need --from archive or --from beginning")
    }
    if let until {
      guard source == .archive else { throw UsageError("--until needs --from archive") }
      guard let day = ArchiveDay(until) else { throw UsageError("--until \(until): must be a day, YYYY-MM-DD") }
      self.until = day
    } else {
      self.until = nil
    }
    self.source = source
    self.epochs = epochs
  }

  /// Before the stream.
  var passes: Int { epochs - 1 }

  /// The archive, if that is the source.
  func open(_ configuration: FreshetConfiguration, logger: Logger) throws -> ArchivedExamples? {
    guard source == .archive else { return nil }
    guard
      let store = try SnapshotStore.open(
        configuration.archive, for: .reading, onRetry: { logger.warning("\($0)") })
    else { throw UsageError("--from archive needs archive.store") }
    return ArchivedExamples(store: store, topic: configuration.kafka.topics.examples, until: until)
  }
}

/// The archive of the examples, as trainers read it.
struct ArchivedExamples {
  /// What it has of a partition.
  struct Part {
    let files: [ArchiveFileName]
    let start: Offset
    let end: Offset
    /// Where passes end.
    let passEnd: Offset
  }

  private let store: any FileStore
  private let topic: String
  private let until: ArchiveDay?
  private let compressor = ZstdCompressor(level: 3)

  init(store: any FileStore, topic: String, until: ArchiveDay?) {
    self.store = store
    self.topic = topic
    self.until = until
  }

  /// Looks what is there now; nil if nothing.
  func part(of partition: PartitionID) throws(ArchiveError) -> Part? {
    let catalog = try ArchiveCatalog(topic: topic, content: .records, in: store)
    guard let files = catalog.files[partition],
      let range = try catalog.range(of: partition, in: store, compressor: compressor)
    else { return nil }
    var passEnd = range.upperBound
    if let until, let later = files.first(where: { $0.day >= until }) {
      passEnd = later.first == files[0].first ? range.lowerBound : later.first
    }
    return Part(files: files, start: range.lowerBound, end: range.upperBound, passEnd: passEnd)
  }

  func stream(_ part: Part, from: Offset) -> ArchiveStream {
    ArchiveStream(part.files, from: from, in: store, compressor: compressor)
  }
}
