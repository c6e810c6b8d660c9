import FreshetCore
import FreshetTable

/// Performs operations that bytes choose on a table and on its model, and compares every answer.
///
/// Any bytes are a script: the first ones choose the table and its fids (`ScriptSetup`), each of the others an operation and
/// its arguments. Shared by tests, which feed it random bytes, and by the fuzzer.
public struct TableScript {
  var bytes: ScriptBytes
  let setup: ScriptSetup
  let table: EmbeddingTable
  var model: ReferenceTable
  var step = 0
  /// Event time of updates.
  var minutes: UInt32 = 100
  /// Fids that may yet be worked on: bounds the time that a script takes.
  var budget: Int
  var random = SeededGenerator(seed: 0)
  /// The cut under way, and those since the last full one that were completed.
  var cut: ScriptCut?
  var chain: [ScriptCut] = []
  var mayContinueChain = true
  /// Cuts completed, and slices of them that began with copies of changed rows.
  public internal(set) var completedCuts = 0
  public internal(set) var slicesWithCopies = 0

  var layout: TableLayout { setup.layout }
  /// What has happened to the table.
  public var statistics: TableStatistics { table.statistics }

  /// - Parameter budget: About how many fids operations may touch before the script ends.
  public init(_ script: [UInt8], budget: Int) {
    bytes = ScriptBytes(script)
    setup = ScriptSetup(&bytes)
    table = EmbeddingTable(layout: setup.layout, feeds: setup.feeds, isSnapshotted: true)
    // For cuts one more.
    model = ReferenceTable(layout: setup.layout, feeds: setup.feeds + 1)
    self.budget = budget
  }

  /// A script of random bytes.
  public init(seed: UInt64, length: Int, budget: Int) {
    var random = SeededGenerator(seed: seed)
    self.init((0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }, budget: budget)
  }

  /// - Returns: Operations performed.
  /// - Throws: `ScriptFailure` when the table and its model disagree. Traps when the table finds itself in disorder.
  @discardableResult
  public mutating func run() throws -> Int {
    while !bytes.isAtEnd && budget > 0 {
      step += 1
      try perform(bytes.next())
      try checkCounts()
      budget -= 1
      if model.rows.count <= 128 || step % 32 == 0 { table.checkInvariants() }
    }
    table.checkInvariants()
    try checkAllRows()
    try finishCut()
    for feed in 0..<setup.feeds {
      try takeTouched(feed: feed)
      try takeRemoved(feed: feed)
    }
    return step
  }

  mutating func perform(_ operation: Int) throws {
    switch operation % 42 {
    case 0..<9: try update(fids(bytes.next() % 64 + 1))
    case 9, 10: try assign(fids(bytes.next() % 64 + 1))
    case 11, 12: try gather(fids(bytes.next() % 64 + 1))
    case 13: try contains(fids(bytes.next() % 64 + 1))
    case 14: try readSingly(fids(bytes.next() % 4 + 1))
    case 15...17: try remove(fids(bytes.next() % 16 + 1))
    case 18: try removeRows(updatedBefore: max(minutes, 16) - UInt32(bytes.next() % 16))
    case 19: try sweepToTheEnd()
    case 20: try sweepOnce()
    case 21, 22: try takeTouched(feed: bytes.next() % setup.feeds)
    case 23: try takeRemoved(feed: bytes.next() % setup.feeds)
    case 24: try scan(limit: 1 + bytes.next())
    case 25, 26: minutes += UInt32(bytes.next() % 12)
    case 27, 28: try assign(manyFids())
    case 29: try remove(manyFids())
    case 30: try update(Array(manyFids().prefix(512)))
    case 31...34: try beginCut(isFull: bytes.next() % 4 == 0)
    case 35...38: try takeCutSlice(limit: 1 + bytes.next() % 64)
    case 39: try finishCut()
    case 40: abandonCut()
    default: try checkAllRows()
    }
  }

  // MARK: - Arguments

  /// Distinct fids of the small domain.
  mutating func fids(_ count: Int) -> [Fid] {
    let start = bytes.next()
    let stride = bytes.next() | 1
    let count = min(count, setup.smallDomain)
    budget -= count
    return (0..<count).map { setup.family.fid((start + $0 * stride) & (setup.smallDomain - 1)) }
  }

  /// A stretch of the large domain, neighbours or widely spread.
  mutating func manyFids() -> [Fid] {
    let start = bytes.next16()
    let count = min((1 + bytes.next()) * 16, setup.largeDomain, max(1, budget))
    let stride = bytes.next() % 4 == 0 ? 2897 : 1
    budget -= count
    return (0..<count).map { setup.family.fid((start + $0 * stride) & (setup.largeDomain - 1)) }
  }

  func fail(_ message: String) -> ScriptFailure { ScriptFailure(step: step, message: "\(message) (\(setup))") }

  func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw fail(message()) }
  }

  // MARK: - Checks

  func checkCounts() throws {
    try expect(table.rowCount == model.rows.count, "\(table.rowCount) rows, expected \(model.rows.count)")
    try expect(table.statistics == model.statistics, "\(table.statistics), expected \(model.statistics)")
  }

  /// Visits all rows and compares them.
  func checkAllRows() throws {
    let seen = try physicalRows(compared: true)
    try expect(seen == Set(model.rows.keys), "a scan saw other rows than there are")
  }

  /// The fids of all rows in memory.
  /// - Parameter compared: Whether the model has the weights that they should have by now.
  func physicalRows(compared: Bool) throws -> Set<Fid> {
    var seen = Set<Fid>(minimumCapacity: model.rows.count)
    var failure: ScriptFailure?
    let cursor = table.scan(from: 0, limit: .max) { fid, weights in
      if !seen.insert(fid).inserted { failure = fail("a scan saw fid \(fid) twice") }
      if compared && !hasWeights(fid, weights) { failure = fail("a scan saw other weights of fid \(fid) than it has") }
    }
    if let failure { throw failure }
    try expect(cursor == nil, "a scan without limit did not reach its end")
    return seen
  }

  /// Whether weights are those of a fid's row in memory, as far as they are known.
  func hasWeights(_ fid: Fid, _ weights: UnsafePointer<Float>) -> Bool {
    guard let floats = model.rows[fid]?.floats else { return true }
    for column in 0..<layout.width where weights[column] != floats[column] { return false }
    return true
  }

  func areEqual(_ weights: UnsafePointer<Float>, _ expected: [Float]) -> Bool {
    for column in 0..<layout.width where weights[column] != expected[column] { return false }
    return true
  }
}
