import FreshetCore

/// An action that has not met its impression.
struct WaitingAction {
  let offset: Int64
  let timeMs: Int64
  let appendTimeMs: Int64
  let kind: Int
  let value: Double
  /// Nil once it has been given up: then it is only remembered, so that its impression, should it still come, is not
  /// taken for one without action.
  var payload: [UInt8]?
  /// Whether the disk has it, as it is or as it was.
  var isStored = false
}

/// The actions that came before their impressions, by request, in the order of their offsets.
struct WaitingActions {
  private var byRequest: [UInt64: [WaitingAction]] = [:]
  /// One entry for each action, and those of actions that are gone, until they are too many.
  private var deadlines = DeadlineHeap()
  private(set) var count = 0
  /// Of the payloads.
  private(set) var byteCount = 0
  private let graceMs: Int64
  private let rememberedMs: Int64
  private let isTiered: Bool
  /// Offsets and requests of those that are not on disk as they are in memory.
  private var changed: [Int64: UInt64] = [:]

  /// - Parameters:
  ///   - graceMs: How long after its event time an action waits.
  ///   - rememberedMs: How long it is remembered after that.
  ///   - isTiered: Whether there is a disk: everything is in memory all the same, for it is bounded.
  init(graceMs: Int64, rememberedMs: Int64, isTiered: Bool) {
    self.graceMs = graceMs
    self.rememberedMs = rememberedMs
    self.isTiered = isTiered
  }

  /// Deadlines of actions that are gone which may stay, beside as many as there are actions.
  private static let maxStaleDeadlines = 4096

  var isEmpty: Bool { count == 0 }
  /// What all of it takes in memory; an estimate.
  var residentBytes: Int {
    byteCount + count * Self.bytesOfAnAction + deadlines.count * MemoryLayout<DeadlineHeap.Entry>.stride
  }

  /// Beside its payload: its place in an array of its own, two headers, and an entry of a dictionary that is three quarters full.
  private static let bytesOfAnAction = MemoryLayout<WaitingAction>.stride + 2 * 32 + 16 * 4 / 3

  /// Does nothing if the action is there.
  mutating func add(_ action: WaitingAction, requestHash: UInt64) {
    var list = byRequest[requestHash] ?? []
    guard !list.contains(where: { $0.offset == action.offset }) else { return }
    list.append(action)
    byRequest[requestHash] = list
    count += 1
    byteCount += action.payload?.count ?? 0
    schedule(action, requestHash)
    if isTiered, !action.isStored { changed[action.offset] = requestHash }
  }

  private mutating func schedule(_ action: WaitingAction, _ requestHash: UInt64) {
    let deadline = action.timeMs + graceMs + (action.payload == nil ? rememberedMs : 0)
    deadlines.insert(.init(deadlineMs: deadline, offset: action.offset, reference: requestHash))
  }

  func actions(of requestHash: UInt64) -> [WaitingAction] {
    byRequest.isEmpty ? [] : byRequest[requestHash] ?? []
  }

  /// Takes an action away because it met its impression.
  mutating func remove(_ requestHash: UInt64, offset: Int64) {
    guard var list = byRequest[requestHash], let index = list.firstIndex(where: { $0.offset == offset }) else { return }
    let action = list.remove(at: index)
    byRequest[requestHash] = list.isEmpty ? nil : list
    count -= 1
    byteCount -= action.payload?.count ?? 0
    if isTiered { changed[offset] = action.isStored ? requestHash : nil }
    dropStaleDeadlines()
  }

  /// While a state is rebuilt the stream time stands still, and most actions come before their impressions: without this
  /// the deadlines of all of them would be there until it moves, some for days.
  private mutating func dropStaleDeadlines() {
    guard deadlines.count > 2 * count + Self.maxStaleDeadlines else { return }
    deadlines.removeAll { [byRequest] entry in
      !(byRequest[entry.reference]?.contains { $0.offset == entry.offset } ?? false)
    }
  }

  /// The next action whose waiting is over at a stream time; it is remembered without its payload from then on. Nil if
  /// there is none. Those that need not be remembered any longer are dropped on the way.
  mutating func giveUp(streamTimeMs: Int64) -> WaitingAction? {
    while let first = deadlines.first, first.deadlineMs < streamTimeMs {
      deadlines.removeFirst()
      if let action = expire(first) { return action }
    }
    return nil
  }

  /// Gives up the action that would be next, whatever the time.
  mutating func giveUpEarliest() -> WaitingAction? {
    while let first = deadlines.first {
      deadlines.removeFirst()
      if let action = expire(first) { return action }
    }
    return nil
  }

  private mutating func expire(_ entry: DeadlineHeap.Entry) -> WaitingAction? {
    guard var list = byRequest[entry.reference], let index = list.firstIndex(where: { $0.offset == entry.offset })
    else { return nil }
    let action = list[index]
    guard let payload = action.payload else {
      remove(entry.reference, offset: entry.offset)
      return nil
    }
    list[index].payload = nil
    byteCount -= payload.count
    schedule(list[index], entry.reference)
    byRequest[entry.reference] = list
    if isTiered { changed[entry.offset] = entry.reference }
    return action
  }

  /// Forgets those that are only remembered, the next to expire first, until no more than `limit` are left or none of them.
  /// - Complexity: O(n log n): to be called when there are many more.
  mutating func forgetRemembered(to limit: Int) {
    var surplus = count - limit
    guard surplus > 0 else { return }
    var forgotten: [DeadlineHeap.Entry] = []
    deadlines.removeAll { [byRequest] entry in
      guard surplus > 0,
        let action = byRequest[entry.reference]?.first(where: { $0.offset == entry.offset }), action.payload == nil
      else { return false }
      surplus -= 1
      forgotten.append(entry)
      return true
    }
    for entry in forgotten { remove(entry.reference, offset: entry.offset) }
  }

  /// Adds what changed to a batch.
  mutating func write(to batch: JoinerStateBatch) {
    for (offset, requestHash) in changed.sorted(by: { $0.key < $1.key }) {
      let key = StateRecord.key(UInt64(bitPattern: offset))
      guard let index = byRequest[requestHash]?.firstIndex(where: { $0.offset == offset }) else {
        batch.remove(.actions, key: key)
        continue
      }
      byRequest[requestHash]![index].isStored = true
      batch.put(
        .actions, key: key, value: StateRecord.value(of: byRequest[requestHash]![index], requestHash: requestHash))
    }
    changed.removeAll(keepingCapacity: true)
  }
}
