import FreshetCore

/// What the data of an archive's file is, once its frames are decompressed.
public enum ArchiveContent: UInt8, Sendable, CaseIterable {
  /// Records as Kafka had them, key, value, offset and time; sections lie between the data.
  case records = 0
  /// One JSON object a line, and nothing else in the file; its sections are in another one.
  case jsonLines = 1

  public var fileSuffix: String {
    switch self {
    case .records: ".records.zst"
    case .jsonLines: ".jsonl.zst"
    }
  }
}

/// The name of a file in an archive: `topics/T/date=YYYY-MM-DD/T+P+OFFSET.…zst`.
///
/// The date is that of the file's first record, the offset its first record's.
public struct ArchiveFileName: Hashable, Sendable {
  public let topic: String
  public let partition: PartitionID
  public let first: Offset
  public let day: ArchiveDay
  public let content: ArchiveContent

  public init(topic: String, partition: PartitionID, first: Offset, day: ArchiveDay, content: ArchiveContent) {
    self.topic = topic
    self.partition = partition
    self.first = first
    self.day = day
    self.content = content
  }

  /// What the names of all files of a topic begin with.
  public static func prefix(topic: String) -> String { "topics/\(topic)/" }

  public var name: String { "\(Self.prefix(topic: topic))\(stem)\(content.fileSuffix)" }

  /// The file that has the sections of this one; nil if they lie between its data.
  ///
  /// Not below `topics/`: other programs read everything there.
  public var sectionsName: String? {
    switch content {
    case .records: nil
    case .jsonLines: "sections/\(topic)/\(stem).sections"
    }
  }

  private var stem: String {
    let digits = String(first.value)
    let padded = String(repeating: "0", count: max(0, 10 - digits.count)) + digits
    return "date=\(day)/\(topic)+\(partition)+\(padded)"
  }

  /// nil if it is not the name of such a file.
  public init?(_ name: String) {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "topics", parts[2].hasPrefix("date="),
      let day = ArchiveDay(parts[2].dropFirst(5)),
      let content = ArchiveContent.allCases.first(where: { parts[3].hasSuffix($0.fileSuffix) })
    else { return nil }
    let words = parts[3].dropLast(content.fileSuffix.count).split(separator: "+", omittingEmptySubsequences: false)
    guard words.count == 3, words[0] == parts[1], let partition = Int32(words[1]), partition >= 0,
      let first = Int64(words[2]), first >= 0
    else { return nil }
    self.init(
      topic: String(parts[1]), partition: PartitionID(partition), first: Offset(first), day: day, content: content)
    // Only one spelling counts: a file that is found by its name must be found by its offset.
    guard name == self.name else { return nil }
  }
}
