import FreshetCluster
import FreshetCore
import FreshetStore

/// Reads an archive whole: `freshet archive check`.
public struct ArchiveCheck {
  private let configuration: ArchiveConfiguration
  private let topics: [ArchivedTopic]
  private let compressor = ZstdCompressor(level: 3)

  public init(_ configuration: FreshetConfiguration, topics: [String]) throws {
    self.topics = try ArchivedTopic.all(configuration, named: topics)
    guard configuration.archive.store != nil else { throw UsageError("archive.store is not set") }
    self.configuration = configuration.archive
  }

  /// A store that cannot be read is a problem of the report, like a file that cannot.
  public func run() throws -> ArchiveReport {
    var report = ArchiveReport()
    do {
      let store = try SnapshotStore.open(configuration, for: .reading, onRetry: { _ in })!
      for topic in topics {
        let catalog = try ArchiveCatalog(topic: topic.name, content: topic.content, in: store)
        for (partition, files) in catalog.files.sorted(by: { $0.key < $1.key }) {
          report.partitions.append(check(files, topic.name, partition, in: store, &report.problems))
        }
      }
    } catch let error as FileStoreError {
      report.problems.append(error.message)
    } catch let error as ArchiveError {
      report.problems.append(error.message)
    }
    return report
  }

  private func check(
    _ files: [ArchiveFileName], _ topic: String, _ partition: PartitionID, in store: any FileStore,
    _ problems: inout [String]
  ) -> ArchiveReport.Partition {
    var result = ArchiveReport.Partition(topic: topic, partition: Int(partition.value), files: files.count)
    var end: Offset?
    for file in files {
      do throws(ArchiveError) {
        let (header, footer) = try ArchiveCatalog.verify(file, in: store, compressor: compressor)
        if let end, header.from != end {
          problems.append(
            header.from > end
              ? "\(file.name): the offsets \(end) ..< \(header.from) before it are missing"
              : "\(file.name): has offsets from \(header.from) on, the file before it those below \(end)")
        }
        result.start = result.start ?? header.from.value
        end = footer.end
        result.end = footer.end.value
        result.records += footer.records
      } catch {
        problems.append(error.message)
        end = nil
      }
    }
    return result
  }
}

/// What an archive has.
public struct ArchiveReport: Sendable {
  struct Partition: Sendable {
    let topic: String
    let partition: Int
    let files: Int
    var records = 0
    /// Offsets from here to `end`; nil if no file is whole.
    var start: Int64?
    var end: Int64?
  }

  var partitions: [Partition] = []
  public internal(set) var problems: [String] = []

  public var text: String {
    let lines = partitions.map { partition in
      let range = partition.start.map { "offsets \($0) ..< \(partition.end ?? $0)" } ?? "no whole file"
      return
        "\(partition.topic)[\(partition.partition)]: \(partition.files) files, \(partition.records) records, \(range)"
    }
    return (lines + problems.map { "PROBLEM \($0)" }).joined(separator: "\n")
  }

  public var json: String {
    var bytes: [UInt8] = Array("{\"partitions\":[".utf8)
    for (number, partition) in partitions.enumerated() {
      if number > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes += "{\"topic\":".utf8
      JSONText.append(partition.topic, to: &bytes)
      bytes +=
        ",\"partition\":\(partition.partition),\"files\":\(partition.files),\"records\":\(partition.records)".utf8
      if let start = partition.start, let end = partition.end { bytes += ",\"start\":\(start),\"end\":\(end)".utf8 }
      bytes.append(UInt8(ascii: "}"))
    }
    bytes += "],\"problems\":[".utf8
    for (number, problem) in problems.enumerated() {
      if number > 0 { bytes.append(UInt8(ascii: ",")) }
      JSONText.append(problem, to: &bytes)
    }
    bytes += "]}".utf8
    return String(decoding: bytes, as: UTF8.self)
  }
}
