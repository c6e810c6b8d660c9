import CRocksDB
import Synchronization

/// Lets entries of a family go when files are merged, by a time that is part of them: nothing is scanned for it.
///
/// An entry that is over may stay for long; whoever reads it must check. `Sendable`: RocksDB's threads read the limit while
/// the owner moves it.
public final class RocksExpiry: Sendable {
  /// Where the time of an entry is: 8 bytes, signed.
  public enum Place: Sendable, Equatable {
    /// At the start of the key, big-endian.
    case key
    /// In the value from this byte on, little-endian.
    case value(at: Int)
  }

  private final class Rule: Sendable {
    let place: Place
    let limit = Atomic<Int64>(.min)

    init(_ place: Place) { self.place = place }

    func isOver(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
      let limit = limit.load(ordering: .relaxed)
      switch place {
      case .key:
        guard key.count >= 8 else { return false }
        return Int64(bigEndian: key.loadUnaligned(as: Int64.self)) < limit
      case .value(let position):
        guard value.count >= position + 8 else { return false }
        return Int64(littleEndian: value.loadUnaligned(fromByteOffset: position, as: Int64.self)) < limit
      }
    }
  }

  private let rule: Rule
  /// `nonisolated(unsafe)`: set once; RocksDB reads it from its threads.
  nonisolated(unsafe) let filter: OpaquePointer

  public init(_ place: Place) {
    let rule = Rule(place)
    self.rule = rule
    filter = rocksdb_compactionfilter_create(
      Unmanaged.passRetained(rule).toOpaque(),
      { state in Unmanaged<Rule>.fromOpaque(state!).release() },
      { state, _, key, keyCount, value, valueCount, _, _, _ in
        let isOver = Unmanaged<Rule>.fromOpaque(state!)._withUnsafeGuaranteedRef {
          $0.isOver(
            UnsafeRawBufferPointer(start: key, count: keyCount), UnsafeRawBufferPointer(start: value, count: valueCount)
          )
        }
        return isOver ? 1 : 0
      },
      { _ in RocksExpiry.name })
  }

  deinit { rocksdb_compactionfilter_destroy(filter) }

  /// RocksDB keeps the pointer.
  nonisolated(unsafe) private static let name: UnsafePointer<CChar> = {
    let text = "freshet.expiry"
    let bytes = UnsafeMutablePointer<CChar>.allocate(capacity: text.utf8.count + 1)
    for (index, byte) in text.utf8.enumerated() { bytes[index] = CChar(bitPattern: byte) }
    bytes[text.utf8.count] = 0
    return UnsafePointer(bytes)
  }()

  /// Entries of earlier times are over. It never goes back.
  public func advance(to time: Int64) {
    if time > rule.limit.load(ordering: .relaxed) { rule.limit.store(time, ordering: .relaxed) }
  }
}
