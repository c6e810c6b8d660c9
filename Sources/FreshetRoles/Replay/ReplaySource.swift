import FreshetCore

/// Where a record goes; the configuration names the topics.
public enum ReplayTopic: Int, CaseIterable, Sendable { case features, actions, items, deadLetter }

/// The event that is next in a source.
struct PendingEvent: Equatable {
  var topic: ReplayTopic
  /// Milliseconds since 1970.
  var eventTime: Int64
  /// Sending it completes one unit of what rates, limits and progress count: a rating, or a record of the user's own.
  var completesUnit: Bool
}

/// A sequence of records in event-time order, with the items that go before them.
protocol ReplaySource: AnyObject {
  /// Units of the whole replay, those before `position` included.
  var unitCount: Int { get }
  var unitsDone: Int { get }
  var eventCount: Int { get }
  /// Events handed out, by which an interrupted replay resumes.
  var position: Int { get }
  /// Names the sequence, so that a position in another one is not taken for a position in this one.
  var fingerprint: UInt64 { get }
  var itemCount: Int { get }

  /// The next event, or nil at the end. Cheap to ask again.
  func peek() -> PendingEvent?
  /// Goes past the event that `peek` shows.
  func advance()
  /// Goes back to position 0.
  func rewind()
  /// Writes the event that `peek` shows into `key` and `payload`.
  func encode()
  /// Writes an item into `key` and `payload`.
  func encodeItem(_ index: Int)
  /// What was encoded last; valid until the next `encode`.
  var key: UnsafeRawBufferPointer { get }
  var payload: UnsafeRawBufferPointer { get }
}

extension ReplaySource {
  /// Goes past events until `position` is reached.
  func skip(to position: Int) {
    while self.position < position && peek() != nil { advance() }
  }
}

/// Ratings as impressions and actions.
final class MovieLensSource: ReplaySource {
  private let data: MovieLensData
  private var plan: ReplayPlan
  private var encoder: EventEncoder
  private var pending: ReplayPlan.Event?

  init(data: MovieLensData, settings: ReplayPlan.Settings) {
    self.data = data
    plan = ReplayPlan(data: data, settings: settings)
    encoder = EventEncoder(profiles: data.profiles)
    pending = plan.peek(data)
  }

  var unitCount: Int { plan.ratingCount }
  var unitsDone: Int { plan.ratingsDone }
  var eventCount: Int { plan.eventCount }
  var position: Int { plan.position }
  var fingerprint: UInt64 { plan.fingerprint }
  var itemCount: Int { data.movies.count }
  var key: UnsafeRawBufferPointer { encoder.key }
  var payload: UnsafeRawBufferPointer { encoder.payload }

  func peek() -> PendingEvent? {
    guard let pending else { return nil }
    let isRating = pending.kind == .rating
    return PendingEvent(
      topic: isRating ? .actions : .features, eventTime: pending.eventTime, completesUnit: isRating)
  }

  func advance() {
    guard let event = pending else { return }
    plan.advance(past: event)
    pending = plan.peek(data)
  }

  func rewind() {
    plan.rewind()
    pending = plan.peek(data)
  }

  func encode() {
    guard let pending else { preconditionFailure("nothing left to encode") }
    encoder.encode(pending, data)
  }

  func encodeItem(_ index: Int) { encoder.encode(data.movies[index]) }
}

/// The user's own records: features and actions merged by event time (features first at equal times), and items.
final class RecordSource: ReplaySource {
  private let features: RecordFile?
  private let actions: RecordFile?
  private let items: RecordFile?
  private let featureOrder: ArraySlice<UInt32>
  private let actionOrder: ArraySlice<UInt32>
  /// The first record of the replay, in the order over both files.
  private let start: Int
  private var nextFeature = 0
  private var nextAction = 0
  private var keyBuffer = JSONBuffer(capacity: 256)
  private var payloadBuffer = JSONBuffer(capacity: 4096)
  private(set) var position = 0
  let eventCount: Int
  let fingerprint: UInt64

  /// - Parameters:
  ///   - start: The first record, in event-time order over both files.
  ///   - limit: How many records; nil for all that follow.
  init(features: RecordFile?, actions: RecordFile?, items: RecordFile?, start: Int, limit: Int?) {
    self.features = features
    self.actions = actions
    self.items = items
    let order = { (file: RecordFile?) in
      RadixSort.ascendingIndices(of: (file?.entries ?? []).map { UInt64($0.eventTime) })[...]
    }
    featureOrder = order(features)
    actionOrder = order(actions)
    var fingerprint = Hashing.mix(UInt64(start)) ^ Hashing.mix(UInt64(limit ?? Int.max) &+ 1)
    for file in [features, actions] {
      fingerprint = Hashing.mix(fingerprint ^ UInt64(file?.entries.count ?? 0))
      for entry in file?.entries ?? [] { fingerprint = Hashing.mix(fingerprint ^ UInt64(entry.eventTime)) }
    }
    self.fingerprint = fingerprint
    let total = featureOrder.count + actionOrder.count
    self.start = min(start, total)
    eventCount = min(total - self.start, limit ?? Int.max)
    rewind()
  }

  func rewind() {
    nextFeature = 0
    nextAction = 0
    position = 0
    for _ in 0..<start { step() }
  }

  var unitCount: Int { eventCount }
  var unitsDone: Int { position }
  var itemCount: Int { items?.entries.count ?? 0 }
  var key: UnsafeRawBufferPointer { keyBuffer.bytes }
  var payload: UnsafeRawBufferPointer { payloadBuffer.bytes }

  private var featureEntry: RecordFile.Entry? {
    nextFeature < featureOrder.count ? features?.entries[Int(featureOrder[nextFeature])] : nil
  }
  private var actionEntry: RecordFile.Entry? {
    nextAction < actionOrder.count ? actions?.entries[Int(actionOrder[nextAction])] : nil
  }

  private var isFeatureNext: Bool {
    guard let feature = featureEntry else { return false }
    guard let action = actionEntry else { return true }
    return feature.eventTime <= action.eventTime
  }

  private func step() {
    if isFeatureNext { nextFeature += 1 } else { nextAction += 1 }
  }

  func peek() -> PendingEvent? {
    guard position < eventCount else { return nil }
    let isFeature = isFeatureNext
    guard let entry = isFeature ? featureEntry : actionEntry else { return nil }
    return PendingEvent(
      topic: isFeature ? .features : .actions, eventTime: entry.eventTime, completesUnit: true)
  }

  func advance() {
    step()
    position += 1
  }

  func encode() {
    let isFeature = isFeatureNext
    guard let file = isFeature ? features : actions, let entry = isFeature ? featureEntry : actionEntry else {
      preconditionFailure("nothing left to encode")
    }
    file.encode(entry, key: &keyBuffer, payload: &payloadBuffer)
  }

  func encodeItem(_ index: Int) {
    guard let items else { preconditionFailure("no items") }
    items.encode(items.entries[index], key: &keyBuffer, payload: &payloadBuffer)
  }
}
