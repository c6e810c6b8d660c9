import FreshetCore

/// Progressive validation of a stream by the values of one slot: the most frequent ones each by itself, the others together.
///
/// Which values are kept is a function of the examples alone. While there is room each new value is. From then on values that are
/// not kept are counted in cells, one for those whose fids fall on it: a value that finds its own count there adds to
/// it, another one takes from it, and takes the cell over at 0 (the majority vote of Boyer and Moore), so a
/// count is never more than the value's occurrences. When a window is full, the value with the largest such count takes the place of the kept one
/// that is the least frequent, if it is more frequent than that, and so on; then all counts are halved. What was said of a value
/// that gives way goes to the others, and one that is taken up begins with nothing: so all slices add up to the whole
/// where examples have at most one value.
///
/// An example counts once in each slice whose value it has. Memory is constant once all places are taken, and adding allocates nothing.
public struct ValidationSlices: Sendable {
  public enum Value: Hashable, Sendable {
    case fid(Fid)
    /// Of examples with a value that is not kept.
    case other
    /// Of examples whose slot is empty.
    case missing
  }

  private struct Candidate {
    var fid: Fid = 0
    var count: UInt32 = 0
  }

  /// Of kept values, at most: `values` and positions in `index` have room for no more.
  public static let maximumCapacity = 1000
  private static let cellCount = 1024
  private static let missingRow = 0
  private static let otherRow = 1
  private static let firstRow = 2

  private let taskCount: Int
  private let capacity: Int
  private var fids: [Fid] = []
  /// Of the kept values, halved with each window.
  private var frequencies: [UInt32] = []
  /// `taskCount` for the missing, the others, and each kept value.
  private var validations: [WindowedValidation] = []
  /// By row, the number of the last example that counted in it.
  private var lastExample: [UInt64] = []
  private var example: UInt64 = 0
  /// Open addressing by the fid's lowest bits: the position in `fids`, and 1.
  private var index: [UInt16]
  private var candidates: [Candidate]

  /// - Parameter capacity: Values that are kept, in `1...maximumCapacity`.
  public init(taskCount: Int, capacity: Int) {
    precondition((1...Self.maximumCapacity).contains(capacity))
    self.taskCount = taskCount
    self.capacity = capacity
    var size = 16
    while size < 4 * capacity { size *= 2 }
    index = [UInt16](repeating: 0, count: size)
    candidates = [Candidate](repeating: Candidate(), count: Self.cellCount)
    for _ in 0..<Self.firstRow { addRow() }
  }

  /// The slices that there is something of, kept values in the order of their fids, and the validation of a task.
  public func slices(task: Int) -> [(value: Value, validation: WindowedValidation)] {
    var slices: [(value: Value, validation: WindowedValidation)] = []
    for position in fids.indices.sorted(by: { fids[$0] < fids[$1] }) {
      slices.append((.fid(fids[position]), validations[(Self.firstRow + position) * taskCount + task]))
    }
    slices.append((.other, validations[Self.otherRow * taskCount + task]))
    slices.append((.missing, validations[Self.missingRow * taskCount + task]))
    return slices.filter { !$0.validation.total.isEmpty }
  }

  /// Adds an example.
  /// - Parameters:
  ///   - values: The slot's fids.
  ///   - outcomes: One for each task.
  public mutating func add(values: UnsafeBufferPointer<Fid>, outcomes: UnsafeBufferPointer<ValidationOutcome>) {
    example &+= 1
    if values.isEmpty { count(row: Self.missingRow, outcomes) }
    for fid in values {
      if let position = position(of: fid) {
        if count(row: Self.firstRow &+ position, outcomes) { frequencies[position] &+= 1 }
      } else if fids.count < capacity {
        keep(fid)
        frequencies[fids.count - 1] = 1
        count(row: Self.firstRow + fids.count - 1, outcomes)
      } else {
        nominate(fid)
        count(row: Self.otherRow, outcomes)
      }
    }
  }

  /// A window is full: values that have become more frequent than kept ones take their places.
  public mutating func roll() {
    for position in validations.indices { validations[position].roll() }
    exchange()
    for position in frequencies.indices { frequencies[position] >>= 1 }
    for cell in candidates.indices { candidates[cell].count >>= 1 }
  }

  // MARK: - Rows

  /// - Returns: Whether the example had not counted there before.
  @discardableResult
  private mutating func count(row: Int, _ outcomes: UnsafeBufferPointer<ValidationOutcome>) -> Bool {
    guard lastExample[row] != example else { return false }
    lastExample[row] = example
    for task in 0..<taskCount { validations[row &* taskCount &+ task].add(outcomes[task]) }
    return true
  }

  private mutating func addRow() {
    lastExample.append(0)
    for _ in 0..<taskCount { validations.append(WindowedValidation(.coarse)) }
  }

  // MARK: - Which values are kept

  private func position(of fid: Fid) -> Int? {
    let mask = index.count &- 1
    var place = Int(truncatingIfNeeded: fid) & mask
    while index[place] != 0 {
      let position = Int(index[place]) &- 1
      if fids[position] == fid { return position }
      place = (place &+ 1) & mask
    }
    return nil
  }

  private mutating func keep(_ fid: Fid) {
    fids.append(fid)
    frequencies.append(0)
    addRow()
    enter(fids.count - 1)
  }

  private mutating func enter(_ position: Int) {
    let mask = index.count - 1
    var place = Int(truncatingIfNeeded: fids[position]) & mask
    while index[place] != 0 { place = (place + 1) & mask }
    index[place] = UInt16(position + 1)
  }

  private mutating func nominate(_ fid: Fid) {
    let cell = Int(truncatingIfNeeded: fid &>> 32) & (Self.cellCount &- 1)
    if candidates[cell].count == 0 {
      candidates[cell] = Candidate(fid: fid, count: 1)
    } else if candidates[cell].fid == fid {
      candidates[cell].count &+= 1
    } else {
      candidates[cell].count &-= 1
    }
  }

  private mutating func exchange() {
    let cells = candidates.indices.filter { candidates[$0].count > 0 }.sorted { one, other in
      (candidates[other].count, candidates[one].fid) < (candidates[one].count, candidates[other].fid)
    }
    var hasChanged = false
    for cell in cells.prefix(capacity) {
      let weakest = frequencies.indices.min { (frequencies[$0], fids[$1]) < (frequencies[$1], fids[$0]) }
      guard let weakest, candidates[cell].count > frequencies[weakest] else { break }
      for task in 0..<taskCount { moveToOthers(row: Self.firstRow + weakest, task) }
      fids[weakest] = candidates[cell].fid
      frequencies[weakest] = candidates[cell].count
      candidates[cell].count = 0
      hasChanged = true
    }
    guard hasChanged else { return }
    for place in index.indices { index[place] = 0 }
    for position in fids.indices { enter(position) }
  }

  private mutating func moveToOthers(row: Int, _ task: Int) {
    var leaving = WindowedValidation(.coarse)
    swap(&leaving, &validations[row * taskCount + task])
    validations[Self.otherRow * taskCount + task].absorb(&leaving)
    swap(&leaving, &validations[row * taskCount + task])
  }
}
