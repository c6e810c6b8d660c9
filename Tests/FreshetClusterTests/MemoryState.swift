import FreshetCluster
import FreshetCore

/// A disk for tests: its contents survive whoever uses it, and can be taken back to an earlier batch.
final class MemoryState: JoinerStateStore {
  private(set) var families = [[[UInt8]: [UInt8]]](repeating: [:], count: JoinerStateFamily.allCases.count)
  /// What it was before each batch.
  private(set) var earlier: [[[[UInt8]: [UInt8]]]] = []
  var isFull = false
  var failure: JoinerStateError?
  var lookedUp = 0
  /// Whether everything that is over goes with each batch.
  var expires = false

  init() {}

  /// As another machine finds it that has it from then.
  func copy(batchesAgo: Int) -> MemoryState {
    let copy = MemoryState()
    copy.families = batchesAgo == 0 || earlier.isEmpty ? families : earlier[max(0, earlier.count - batchesAgo)]
    copy.expires = expires
    return copy
  }

  /// Whether it can be gone on from; clears it if not.
  func check(_ config: JoinerConfig, _ committed: JoinerCommitPoint) throws -> JoinerCommitPoint? {
    switch try run(config, committed) {
    case .empty: return nil
    case .usable(let point): return point
    case .useless:
      families = [[[UInt8]: [UInt8]]](repeating: [:], count: JoinerStateFamily.allCases.count)
      _ = try run(config, committed)
      return nil
    }
  }

  func run(
    _ config: JoinerConfig, _ committed: JoinerCommitPoint, starts: (Int64, Int64) = (0, 0)
  ) throws(JoinerStateError) -> JoinerStateCheck {
    try JoinerStateCheck.run(
      self, identity: config.stateIdentity(schema: 1, place: "test"), committed: committed,
      logStarts: (features: starts.0, actions: starts.1))
  }

  func put(_ family: JoinerStateFamily, _ key: [UInt8], _ value: [UInt8]?) { families[family.rawValue][key] = value }

  func entries(_ family: JoinerStateFamily) -> [[UInt8]: [UInt8]] { families[family.rawValue] }

  func lookUp(
    _ requestHashes: UnsafeBufferPointer<UInt64>, _ body: (Int, UnsafeRawBufferPointer) -> Void
  ) throws(JoinerStateError) {
    if let failure { throw failure }
    lookedUp += requestHashes.count
    for (position, hash) in requestHashes.enumerated() {
      let key = withUnsafeBytes(of: hash.bigEndian, Array.init)
      if let record = entries(.impressions)[key] { record.withUnsafeBytes { body(position, $0) } }
    }
  }

  func scan(
    _ family: JoinerStateFamily, from start: [UInt8],
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
  ) throws(JoinerStateError) {
    if let failure { throw failure }
    let keys = entries(family).keys.filter { !$0.lexicographicallyPrecedes(start) }
    for key in keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      let goesOn = key.withUnsafeBytes { bytes in entries(family)[key]!.withUnsafeBytes { body(bytes, $0) } }
      if !goesOn { return }
    }
  }

  func apply(_ batch: JoinerStateBatch, expiry: JoinerStateExpiry) throws(JoinerStateError) {
    if let failure { throw failure }
    if isFull { throw JoinerStateError(.noSpace, "the test's disk is full") }
    earlier.append(families)
    batch.forEach { family, key, value in families[family.rawValue][Array(key)] = value.map(Array.init) }
    guard expires else { return }
    families[JoinerStateFamily.impressions.rawValue] = entries(.impressions).filter {
      $0.value.withUnsafeBytes {
        $0.loadUnaligned(fromByteOffset: JoinerStateFormat.impressionTimePosition, as: Int64.self)
      } >= expiry.impressionsBeforeMs
    }
    families[JoinerStateFamily.closings.rawValue] = entries(.closings).filter {
      $0.key.withUnsafeBytes { Int64(bigEndian: $0.loadUnaligned(as: Int64.self)) } >= expiry.closingsBeforeMs
    }
  }

  var sizeBytes: Int { families.reduce(0) { $0 + $1.reduce(0) { $0 + $1.key.count + $1.value.count } } }
}
