import FreshetCore

/// The parts of a partition's state on disk. Keys are ordered by their bytes.
public enum JoinerStateFamily: Int, Sendable, CaseIterable {
  /// Impressions by the hash of their request.
  case impressions
  /// What is to happen when windows close, by time.
  case closings
  /// Actions that wait for their impression or are remembered, by offset.
  case actions
  /// What the whole is: its identity, its position, and the offsets that it is made of.
  case about
}

/// Why the state on disk could not be read or written.
public struct JoinerStateError: DescribedError, Equatable {
  public enum Kind: String, Sendable {
    /// The disk, or the part of it that the configuration allows, is full. Nothing of the batch was written.
    case noSpace = "state-no-space"
    /// Another process has the directory open.
    case locked = "state-locked"
    /// It holds what no joiner of this version writes, or its checksums do not match.
    case damaged = "state-damaged"
    /// The disk does not work, or the directory cannot be used.
    case failed = "state-failed"
  }

  public let kind: Kind
  public let message: String
  public var code: String { kind.rawValue }

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }
}

/// The disk under one partition's joiner: ordered keys in families, changed by atomic batches.
///
/// It may lose its last batches when the machine loses power, but never a part of one, and never one before another.
public protocol JoinerStateStore: AnyObject {
  /// Looks impressions up by request.
  /// - Parameters:
  ///   - requestHashes: Any number, in any order, repetitions allowed.
  ///   - body: Called with the position in `requestHashes` of each that is there and its record, which is valid during
  ///     the call only.
  func lookUp(
    _ requestHashes: UnsafeBufferPointer<UInt64>, _ body: (Int, UnsafeRawBufferPointer) -> Void
  ) throws(JoinerStateError)

  /// Calls `body` with the keys of a family at or after `start` and their values, ascending, until it returns false.
  func scan(
    _ family: JoinerStateFamily, from start: [UInt8],
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
  ) throws(JoinerStateError)

  /// Makes all changes of a batch or none.
  /// - Parameter expiry: What need not be kept any longer; it disappears at some time or other.
  func apply(_ batch: JoinerStateBatch, expiry: JoinerStateExpiry) throws(JoinerStateError)

  /// Bytes on disk.
  var sizeBytes: Int { get }
}

/// Up to when the state is over.
public struct JoinerStateExpiry: Sendable, Equatable {
  /// Impressions of earlier event times do not matter any more.
  public var impressionsBeforeMs: Int64
  /// Closings of earlier times have happened.
  public var closingsBeforeMs: Int64

  public init(impressionsBeforeMs: Int64, closingsBeforeMs: Int64) {
    self.impressionsBeforeMs = impressionsBeforeMs
    self.closingsBeforeMs = closingsBeforeMs
  }
}

/// Changes that are made together. Reused: `removeAll` keeps the memory.
public final class JoinerStateBatch {
  struct Change: BitwiseCopyable {
    let family: UInt8
    let isRemoval: Bool
    let keyCount: UInt16
    let start: Int
    let valueCount: Int
  }

  private var changes: [Change] = []
  private var memory: UnsafeMutableRawPointer
  private var capacity = 1 << 12
  /// Of all keys and values.
  public private(set) var byteCount = 0

  public init() { memory = .allocate(byteCount: capacity, alignment: 8) }
  deinit { memory.deallocate() }

  public var isEmpty: Bool { changes.isEmpty }
  public var count: Int { changes.count }

  public func removeAll() {
    changes.removeAll(keepingCapacity: true)
    byteCount = 0
  }

  /// Calls `body` with each change in its order; the value is nil for a removal. Memory is valid during the call only.
  public func forEach(
    _ body: (_ family: JoinerStateFamily, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) -> Void
  ) {
    for change in changes {
      let key = UnsafeRawBufferPointer(start: memory + change.start, count: Int(change.keyCount))
      let value = UnsafeRawBufferPointer(
        start: memory + change.start + Int(change.keyCount), count: change.valueCount)
      body(JoinerStateFamily(rawValue: Int(change.family))!, key, change.isRemoval ? nil : value)
    }
  }

  public func put(_ family: JoinerStateFamily, key: [UInt8], value: [UInt8]) {
    key.withUnsafeBytes { key in
      put(family, keyCount: key.count, maxValueCount: value.count) { room in
        room.copyMemory(from: key.baseAddress!, byteCount: key.count)
        value.withUnsafeBytes { bytes in
          if let source = bytes.baseAddress { (room + key.count).copyMemory(from: source, byteCount: bytes.count) }
        }
        return value.count
      }
    }
  }

  /// Puts a key and a value that `fill` writes one after the other into the room it is given.
  /// - Parameter fill: Returns how many bytes the value has, at most `maxValueCount`.
  @inline(__always)
  func put(
    _ family: JoinerStateFamily, keyCount: Int, maxValueCount: Int, _ fill: (UnsafeMutableRawPointer) -> Int
  ) {
    reserve(keyCount + maxValueCount)
    let valueCount = fill(memory + byteCount)
    changes.append(
      Change(
        family: UInt8(family.rawValue), isRemoval: false, keyCount: UInt16(keyCount), start: byteCount,
        valueCount: valueCount))
    byteCount += keyCount + valueCount
  }

  public func remove(_ family: JoinerStateFamily, key: [UInt8]) {
    reserve(key.count)
    key.withUnsafeBytes { (memory + byteCount).copyMemory(from: $0.baseAddress!, byteCount: key.count) }
    changes.append(
      Change(
        family: UInt8(family.rawValue), isRemoval: true, keyCount: UInt16(key.count), start: byteCount, valueCount: 0))
    byteCount += key.count
  }

  private func reserve(_ count: Int) {
    guard byteCount + count > capacity else { return }
    let grownCapacity = (byteCount + count) * 2
    let grown = UnsafeMutableRawPointer.allocate(byteCount: grownCapacity, alignment: 8)
    grown.copyMemory(from: memory, byteCount: byteCount)
    memory.deallocate()
    memory = grown
    capacity = grownCapacity
  }
}

/// What a store has to know of the records in it.
public enum JoinerStateFormat {
  /// Where an impression's record has its event time: 8 bytes, little-endian.
  public static let impressionTimePosition = ImpressionRecord.eventTimePosition
}
