import FreshetCluster
import FreshetCore

/// The faults of a joiner's state on disk.
struct StateFaults {
  /// Per mille of crashes with which the last batches are lost: the machine, not only the process, went down.
  var powerLoss = 0
  /// Per mille of crashes after which the disk is another one, and empty.
  var lost = 0
  /// Per mille of batches that find the disk full, and for how long it then is.
  var full = 0
  var fullMilliseconds: ClosedRange<Int> = 100...4_000
  /// Per mille of reads that find damage.
  var damage = 0
  /// Per mille of batches after which everything that is over is gone.
  var expiry = 200
}

/// The disk of one machine with the states of the partitions whose joiners run there. Survives their processes.
///
/// A batch is there whole or not at all; a power failure takes the last ones.
final class SimulatedStateDisk {
  fileprivate struct Content {
    var families = [[[UInt8]: [UInt8]]](repeating: [:], count: JoinerStateFamily.allCases.count)
  }

  fileprivate struct Directory {
    var content = Content()
    /// What it was before each of the last batches.
    var earlier: [Content] = []
    /// Whose process has it open; 0 for nobody.
    var owner = 0
  }

  private static let keptVersions = 6

  fileprivate let world: World
  fileprivate let faults: StateFaults
  private let name: String
  fileprivate var directories: [Int: Directory] = [:]
  private var fullUntil: Instant?
  private var owners = 0

  init(world: World, faults: StateFaults, name: String) {
    self.world = world
    self.faults = faults
    self.name = name
  }

  // MARK: - Faults

  /// What is left of what a process had open when it crashed.
  func crash(_ states: [SimulatedState]) {
    for state in states { state.close() }
    guard world.isFaulty else { return }
    for partition in directories.keys.sorted() where directories[partition]!.owner == 0 {
      if world.chance(faults.lost) {
        world.met(.joinerStateLost)
        world.note(name, "loses partition {0}", Int64(partition))
        directories[partition] = nil
      } else if world.chance(faults.powerLoss), !directories[partition]!.earlier.isEmpty {
        world.met(.joinerStateOlder)
        let batches = world.draw(1...directories[partition]!.earlier.count)
        world.note(name, "loses {0} batches of partition {1}", Int64(batches), Int64(partition))
        let count = directories[partition]!.earlier.count
        directories[partition]!.content = directories[partition]!.earlier[count - batches]
        directories[partition]!.earlier.removeLast(batches)
      }
    }
  }

  fileprivate var isFull: Bool {
    guard world.isFaulty else { return false }
    if let until = fullUntil, world.now < until { return true }
    fullUntil = nil
    guard world.chance(faults.full) else { return false }
    world.met(.joinerDiskFull)
    fullUntil = world.now.advanced(byMs: world.draw(faults.fullMilliseconds))
    return true
  }

  // MARK: - Directories

  /// - Returns: Nil if another process has it open.
  func open(_ partition: Int) -> SimulatedState? {
    guard directories[partition, default: Directory()].owner == 0 else {
      world.met(.joinerStateLocked)
      return nil
    }
    owners += 1
    directories[partition, default: Directory()].owner = owners
    return SimulatedState(self, partition, owner: owners)
  }

  /// Removes what cannot be used.
  func clear(_ partition: Int) {
    world.met(.joinerStateUseless)
    directories[partition]?.content = Content()
    directories[partition]?.earlier = []
  }

  fileprivate func apply(_ batch: JoinerStateBatch, _ expiry: JoinerStateExpiry, _ partition: Int) {
    var directory = directories[partition]!
    directory.earlier.append(directory.content)
    if directory.earlier.count > Self.keptVersions { directory.earlier.removeFirst() }
    batch.forEach { family, key, value in
      directory.content.families[family.rawValue][Array(key)] = value.map(Array.init)
    }
    if world.chance(faults.expiry) {
      let impressions = JoinerStateFamily.impressions.rawValue
      directory.content.families[impressions] = directory.content.families[impressions].filter {
        Self.number($0.value, at: JoinerStateFormat.impressionTimePosition, isBigEndian: false)
          >= expiry.impressionsBeforeMs
      }
      let closings = JoinerStateFamily.closings.rawValue
      directory.content.families[closings] = directory.content.families[closings].filter {
        Self.number($0.key, at: 0, isBigEndian: true) >= expiry.closingsBeforeMs
      }
    }
    directories[partition] = directory
  }

  private static func number(_ bytes: [UInt8], at position: Int, isBigEndian: Bool) -> Int64 {
    bytes.withUnsafeBytes {
      let number = $0.loadUnaligned(fromByteOffset: position, as: Int64.self)
      return isBigEndian ? Int64(bigEndian: number) : Int64(littleEndian: number)
    }
  }
}

/// One partition's state on a simulated disk, open in one process.
final class SimulatedState: JoinerStateStore {
  private let disk: SimulatedStateDisk
  private let partition: Int
  private let owner: Int

  fileprivate init(_ disk: SimulatedStateDisk, _ partition: Int, owner: Int) {
    self.disk = disk
    self.partition = partition
    self.owner = owner
  }

  deinit { close() }

  func close() {
    if disk.directories[partition]?.owner == owner { disk.directories[partition]!.owner = 0 }
  }

  /// The content, unless somebody else has it by now.
  private func content(_ what: String) throws(JoinerStateError) -> SimulatedStateDisk.Content {
    guard let directory = disk.directories[partition], directory.owner == owner else {
      throw JoinerStateError(.failed, "\(what): the directory is gone")
    }
    if disk.world.isFaulty, disk.world.chance(disk.faults.damage) {
      disk.world.met(.joinerStateDamaged)
      throw JoinerStateError(.damaged, "\(what): checksum mismatch")
    }
    return directory.content
  }

  func lookUp(
    _ requestHashes: UnsafeBufferPointer<UInt64>, _ body: (Int, UnsafeRawBufferPointer) -> Void
  ) throws(JoinerStateError) {
    let impressions = try content("read").families[JoinerStateFamily.impressions.rawValue]
    for (position, hash) in requestHashes.enumerated() {
      guard let record = impressions[withUnsafeBytes(of: hash.bigEndian, Array.init)] else { continue }
      disk.world.met(.joinerDiskHit)
      record.withUnsafeBytes { body(position, $0) }
    }
  }

  func scan(
    _ family: JoinerStateFamily, from start: [UInt8],
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
  ) throws(JoinerStateError) {
    let entries = try content("scan").families[family.rawValue]
    let keys = entries.keys.filter { !$0.lexicographicallyPrecedes(start) }.sorted { $0.lexicographicallyPrecedes($1) }
    for key in keys {
      let goesOn = key.withUnsafeBytes { key in entries[Array(key)]!.withUnsafeBytes { body(key, $0) } }
      if !goesOn { return }
    }
  }

  func apply(_ batch: JoinerStateBatch, expiry: JoinerStateExpiry) throws(JoinerStateError) {
    _ = try content("write")
    if disk.isFull { throw JoinerStateError(.noSpace, "write: no space left on device") }
    disk.apply(batch, expiry, partition)
  }

  var sizeBytes: Int {
    disk.directories[partition]?.content.families.reduce(0) { $0 + $1.reduce(0) { $0 + $1.key.count + $1.value.count } }
      ?? 0
  }
}
