/// A 64-bit id of one feature value: `Hashing.fid(slot:value:)`. Every value is legal, 0 and 2^64−1 included.
public typealias Fid = UInt64

/// One logical partition of the fid space. A cluster has a fixed number of them, `ShardMap.shardCount`.
public struct ShardID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let value: UInt16
  public init(_ value: UInt16) { self.value = value }
  public init(_ value: Int) { self.value = UInt16(value) }
  public static func < (a: ShardID, b: ShardID) -> Bool { a.value < b.value }
  public var description: String { String(value) }
}

/// The position of a parameter server in the cluster's list of servers.
public struct ServerID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let value: Int
  public init(_ value: Int) { self.value = value }
  public static func < (a: ServerID, b: ServerID) -> Bool { a.value < b.value }
  public var description: String { String(value) }
}

/// A Kafka partition number. `features`, `actions` and `examples` are co-partitioned, so one number names all three.
public struct PartitionID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let value: Int32
  public init(_ value: Int32) { self.value = value }
  public static func < (a: PartitionID, b: PartitionID) -> Bool { a.value < b.value }
  public var description: String { String(value) }
}

/// A Kafka offset, or a watermark: "every record below this offset has been applied".
public struct Offset: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let value: Int64
  public init(_ value: Int64) { self.value = value }
  /// Nothing has been applied yet; smaller than every real offset.
  public static let none = Offset(-1)
  public static func < (a: Offset, b: Offset) -> Bool { a.value < b.value }
  public var description: String { self == .none ? "none" : String(value) }
}

/// How often a partition has been claimed on one parameter server. Pushes of older epochs are fenced.
public struct Epoch: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let value: UInt64
  public init(_ value: UInt64) { self.value = value }
  public static func < (a: Epoch, b: Epoch) -> Bool { a.value < b.value }
  public var description: String { String(value) }
}
