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
}

/// The actions that came before their impressions, by request, in the order of their offsets.
struct WaitingActions {
  private var byRequest: [UInt64: [WaitingAction]] = [:]
  private var deadlines = DeadlineHeap()
  private(set) var count = 0
  /// Of the payloads.
  private(set) var byteCount = 0
  private let graceMs: Int64
  private let rememberedMs: Int64

  /// - Parameters:
  ///   - graceMs: How long after its event time an action waits.
  ///   - rememberedMs: How long it is remembered after that.
  init(graceMs: Int64, rememberedMs: Int64) {
    self.graceMs = graceMs
    self.rememberedMs = rememberedMs
  }

  var isEmpty: Bool { count == 0 }

  mutating func add(_ action: WaitingAction, requestHash: UInt64) {
    byRequest[requestHash, default: []].append(action)
    count += 1
    byteCount += action.payload?.count ?? 0
    schedule(action, requestHash)
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
    return action
  }
}
