import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetStore

/// Turns archived examples into lines of JSON: `freshet archive export`.
public struct ArchiveExport {
  public struct Summary: Sendable {
    public var files = 0
    public var records = 0
    /// Files that were there already.
    public var skipped = 0
    /// Records that are no examples of the configured model.
    public var unreadable = 0
  }

  /// Lines are compressed in frames of about this size.
  private static let frameBytes = 1 << 20

  private let topic: String
  private let model: ModelSpec
  private let layout: ExampleLayout
  private let store: any FileStore
  private let target: DirectoryStore
  private let compressor = ZstdCompressor(level: 3)

  public init(_ configuration: FreshetConfiguration, directory: String) throws {
    topic = configuration.kafka.topics.examples
    model = configuration.model
    layout = ExampleLayout(model)
    guard let store = try SnapshotStore.open(configuration.archive, for: .reading, onRetry: { _ in }) else {
      throw UsageError("archive.store is not set")
    }
    self.store = store
    target = try DirectoryStore(writing: directory)
  }

  public func run() throws -> Summary {
    var summary = Summary()
    let catalog = try ArchiveCatalog(topic: topic, content: .records, in: store)
    let present = Set(try target.list(prefix: ArchiveFileName.prefix(topic: topic)).map(\.name))
    for (_, files) in catalog.files.sorted(by: { $0.key < $1.key }) {
      for file in files {
        let name = ArchiveFileName(
          topic: file.topic, partition: file.partition, first: file.first, day: file.day, content: .jsonLines
        ).name
        if present.contains(name) {
          summary.skipped += 1
        } else {
          try export(file, to: name, &summary)
        }
      }
    }
    return summary
  }

  private func export(_ file: ArchiveFileName, to name: String, _ summary: inout Summary) throws {
    var reader = try ArchiveCatalog.open(file, in: store, compressor: compressor)
    let writer = try target.create(name)
    var encoder = ExampleLineWriter(model: model, partition: file.partition)
    var batch = ExampleBatch(layout: layout, capacity: 1)
    func flush() throws {
      guard !encoder.bytes.isEmpty else { return }
      try encoder.bytes.withUnsafeBytes { try compressor.compress($0).withUnsafeBytes { try writer.write($0) } }
      encoder.removeAll()
    }
    while let block = try reader.next() {
      try block.forEach { record in
        batch.removeAll()
        do throws(ExampleError) {
          guard let value = record.value else {
            throw ExampleError(kind: .malformed, message: "the record has no value")
          }
          try batch.append(value, offset: record.offset.value)
        } catch {
          // One of another schema means another configuration is needed for all of them.
          if error.kind == .schemaMismatch { throw error }
          summary.unreadable += 1
          return
        }
        encoder.append(batch, key: record.key, time: record.time)
        summary.records += 1
      }
      if encoder.bytes.count >= Self.frameBytes { try flush() }
    }
    try flush()
    try writer.finish()
    summary.files += 1
  }
}
