import FreshetCore

/// Which snapshot of a shard.
///
/// Numbers of a shard grow from one snapshot to the next, over all lives of its server; the life (`ShardServer.Configuration.generation`)
/// is part of every name, so two lives never write the same file.
public struct SnapshotID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let shard: ShardID
  public let number: UInt64
  public let life: UInt64

  public init(shard: ShardID, number: UInt64, life: UInt64) {
    self.shard = shard
    self.number = number
    self.life = life
  }

  /// Older ones come first.
  public static func < (a: SnapshotID, b: SnapshotID) -> Bool {
    (a.shard.value, a.number, a.life) < (b.shard.value, b.number, b.life)
  }

  public var description: String { "\(Self.directory(of: shard))/\(stem)" }

  /// What names of the shard's files begin with, without the `/`.
  public static func directory(of shard: ShardID) -> String { "shard-" + padded(UInt64(shard.value), 4) }

  public var manifestName: String { "\(description).manifest" }
  public func fileName(_ kind: SnapshotKind) -> String { "\(description)-\(kind).rows" }

  private var stem: String { "\(Self.padded(number, 10))-\(Self.hexadecimal(life))" }

  static func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private static func padded(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}

/// Whether a data file holds all rows of its shard or those that changed.
public enum SnapshotKind: UInt8, Sendable, Hashable, CustomStringConvertible {
  case base = 0
  case delta = 1

  public var description: String { self == .base ? "base" : "delta" }
}

/// What the name of a file in a store of snapshots says.
public struct SnapshotFileName: Hashable, Sendable {
  public enum Content: Hashable, Sendable {
    case manifest
    case rows(SnapshotKind)
  }

  public let id: SnapshotID
  public let content: Content

  /// nil if it is not the name of such a file.
  public init?(_ name: String) {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].hasPrefix("shard-"), let shard = UInt16(parts[0].dropFirst(6)) else { return nil }
    let pieces = parts[1].split(separator: ".", omittingEmptySubsequences: false)
    guard pieces.count == 2 else { return nil }
    let words = pieces[0].split(separator: "-", omittingEmptySubsequences: false)
    // Numbers leave room to count on from every file that is there.
    guard words.count >= 2, let number = UInt64(words[0]), number < 1 << 62, let life = UInt64(words[1], radix: 16)
    else {
      return nil
    }
    id = SnapshotID(shard: ShardID(shard), number: number, life: life)
    switch (pieces[1], words.count == 3 ? words[2] : "") {
    case ("manifest", ""): content = .manifest
    case ("rows", "base"): content = .rows(.base)
    case ("rows", "delta"): content = .rows(.delta)
    default: return nil
    }
    // Only one spelling counts: a file that is found by its name must be found by its id.
    guard name == self.name else { return nil }
  }

  private var name: String {
    switch content {
    case .manifest: id.manifestName
    case .rows(let kind): id.fileName(kind)
    }
  }
}
