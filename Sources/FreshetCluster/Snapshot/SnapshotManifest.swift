import FreshetCore

/// Names the files of one snapshot: what is listed is durable, and a data file without a manifest counts for nothing.
///
/// Text, so that one can look at it: docs/snapshot-format.md.
public struct SnapshotManifest: Sendable, Hashable {
  public static let version = 1

  public let id: SnapshotID
  public let shardCount: Int
  public let takenAt: UnixTime
  /// A base and the deltas on it, in order. The last one is the snapshot's own.
  public let chain: [SnapshotFile]

  public init(id: SnapshotID, shardCount: Int, takenAt: UnixTime, chain: [SnapshotFile]) {
    self.id = id
    self.shardCount = shardCount
    self.takenAt = takenAt
    self.chain = chain
  }

  public func encode() -> [UInt8] {
    var lines = [
      "freshet-manifest \(Self.version)",
      "shard \(id.shard) of \(shardCount)",
      "number \(id.number)",
      "life \(SnapshotID.hexadecimal(id.life))",
      "taken \(takenAt.milliseconds)",
    ]
    for file in chain {
      lines.append("\(file.kind) \(file.sizeBytes) \(SnapshotID.hexadecimal(file.checksum)) \(file.name)")
    }
    let text = lines.joined(separator: "\n") + "\n"
    return Array((text + "end \(SnapshotID.hexadecimal(Hashing.xxh3(text)))\n").utf8)
  }

  /// - Parameter name: What the store calls it; must be what it says of itself.
  public init(decoding bytes: [UInt8], name: String) throws(SnapshotError) {
    func malformed(_ reason: String) -> SnapshotError { SnapshotError(.malformed, "\(name): \(reason)") }
    let text = String(decoding: bytes, as: UTF8.self)
    guard text.hasPrefix("freshet-manifest ") else { throw malformed("not a manifest") }
    // "end ", 16 digits, a line's end.
    guard bytes.count > 21 else { throw malformed("\(bytes.count) bytes are too few") }
    let body = bytes[..<(bytes.count - 21)]
    let checksum = body.withUnsafeBytes { Hashing.xxh3($0) }
    guard Array(bytes[body.endIndex...]) == Array("end \(SnapshotID.hexadecimal(checksum))\n".utf8) else {
      throw malformed("the checksum does not match: it is torn or damaged")
    }
    var lines = String(decoding: body, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)[...]
    func words(_ label: String, _ count: Int) throws(SnapshotError) -> [Substring] {
      let words = lines.popFirst()?.split(separator: " ", omittingEmptySubsequences: false) ?? []
      guard words.first == Substring(label), words.count == count else { throw malformed("no line `\(label)`") }
      return Array(words.dropFirst())
    }
    let version = try words("freshet-manifest", 2)[0]
    guard version == "\(Self.version)" else {
      throw malformed("version \(version), this program knows \(Self.version): it was written by a newer one")
    }
    let shard = try words("shard", 4)
    let number = try words("number", 2)[0]
    let life = try words("life", 2)[0]
    let taken = try words("taken", 2)[0]
    guard let shardNumber = UInt16(shard[0]), shard[1] == "of", let shardCount = Int(shard[2]), shardCount > 0,
      let number = UInt64(number), let life = UInt64(life, radix: 16), let taken = Int64(taken)
    else { throw malformed("a number is not one") }
    id = SnapshotID(shard: ShardID(shardNumber), number: number, life: life)
    guard id.manifestName == name else { throw malformed("it says that it is \(id.manifestName)") }
    self.shardCount = shardCount
    takenAt = UnixTime(milliseconds: taken)
    var chain: [SnapshotFile] = []
    while let line = lines.popFirst(), !lines.isEmpty || !line.isEmpty {
      guard let file = SnapshotFile(manifestLine: line) else { throw malformed("`\(line)` is not a file") }
      guard (file.kind == .base) == chain.isEmpty, chain.count < SnapshotLimits.chainFiles else {
        throw malformed("\(file.name) is out of place")
      }
      chain.append(file)
    }
    guard let last = chain.last, last.name == id.fileName(last.kind) else {
      throw malformed("its own file is not the last")
    }
    self.chain = chain
  }
}

extension SnapshotFile {
  /// nil if the line does not name a data file.
  init?(manifestLine line: Substring) {
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 4, let size = Int(words[1]), (0..<1 << 50).contains(size),
      let checksum = UInt64(words[2], radix: 16),
      case .rows(let kind) = SnapshotFileName(String(words[3]))?.content, words[0] == Substring(kind.description)
    else { return nil }
    self.init(name: String(words[3]), kind: kind, sizeBytes: size, checksum: checksum)
  }
}
