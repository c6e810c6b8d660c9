import FreshetCore

/// The order in which ratings become events.
///
/// Each rating is an action at rating time and, up to `maxDelayMs` earlier, the impression that led to it. Events go by
/// event time; at equal times impressions go first, and ratings of one second keep their file's order. So an action
/// never precedes its own impression. Same data, same settings: same events in the same order.
struct ReplayPlan {
  struct Settings: Equatable, Sendable {
    /// Seeds the delays between impression and rating.
    var seed: UInt64
    /// The largest delay; delays are uniform in `0...maxDelayMs`. One hour unless told.
    var maxDelayMs: Int64
    /// The first rating, counted in time order.
    var start: Int
    /// How many ratings; nil for all that follow.
    var limit: Int?
  }

  enum Kind: Equatable, Sendable { case impression, rating }

  struct Event: Equatable {
    var kind: Kind
    /// The rating's row in `MovieLensData`.
    var row: Int
    /// Milliseconds since 1970.
    var eventTime: Int64
    var requestHash: UInt64
  }

  /// Ratings in the plan; twice as many events.
  var ratingCount: Int { order.count }
  var eventCount: Int { 2 * order.count }
  /// Changes with the settings and with any rating of the plan, so that a saved position is not used for another plan.
  let fingerprint: UInt64

  private let settings: Settings
  /// Rows of the ratings in time order.
  private let order: [UInt32]
  /// Positions in `order`, by the time of their impression.
  private let impressions: [UInt32]
  private var nextRating = 0
  private var nextImpression = 0

  init(data: borrowing MovieLensData, settings: Settings) {
    precondition(settings.maxDelayMs >= 0 && settings.start >= 0 && (settings.limit ?? 0) >= 0)
    let sorted = RadixSort.ascendingIndices(of: data.seconds.map { UInt64($0) })
    let rest = sorted.dropFirst(settings.start)
    let chosen = Array(settings.limit.map { rest.prefix($0) } ?? rest)
    var fingerprint = Hashing.mix(settings.seed) ^ UInt64(settings.maxDelayMs)
    var times: [UInt64] = []
    times.reserveCapacity(chosen.count)
    for row in chosen {
      let hash = Self.requestHash(data, row: Int(row))
      fingerprint = Hashing.mix(fingerprint ^ hash)
      times.append(UInt64(Self.impressionTime(data.seconds[Int(row)], hash, settings)))
    }
    self.settings = settings
    self.fingerprint = fingerprint
    order = chosen
    impressions = RadixSort.ascendingIndices(of: times)
  }

  /// Events handed out so far.
  var position: Int { nextRating + nextImpression }
  /// Ratings whose action has been handed out.
  var ratingsDone: Int { nextRating }

  /// The event that `next` will return, or nil at the end.
  func peek(_ data: borrowing MovieLensData) -> Event? {
    guard nextRating < order.count else { return nil }
    let row = Int(order[nextRating])
    let ratingTime = data.seconds[row] * 1000
    if nextImpression < impressions.count {
      let shown = Int(order[Int(impressions[nextImpression])])
      let hash = Self.requestHash(data, row: shown)
      let time = Self.impressionTime(data.seconds[shown], hash, settings)
      if time <= ratingTime { return Event(kind: .impression, row: shown, eventTime: time, requestHash: hash) }
    }
    return Event(
      kind: .rating, row: row, eventTime: ratingTime, requestHash: Self.requestHash(data, row: row))
  }

  mutating func advance(past event: Event) {
    if event.kind == .rating { nextRating += 1 } else { nextImpression += 1 }
  }

  mutating func rewind() {
    nextRating = 0
    nextImpression = 0
  }

  mutating func next(_ data: borrowing MovieLensData) -> Event? {
    guard let event = peek(data) else { return nil }
    advance(past: event)
    return event
  }

  /// A function of user, item and time alone: a rating that is sent twice is one request.
  static func requestHash(_ data: borrowing MovieLensData, row: Int) -> UInt64 {
    let ids = UInt64(data.users[row]) << 32 | UInt64(data.items[row])
    return withUnsafeBytes(of: (ids.littleEndian, data.seconds[row].littleEndian)) { Hashing.xxh3($0) }
  }

  private static func impressionTime(_ seconds: Int64, _ hash: UInt64, _ settings: Settings) -> Int64 {
    let random = Hashing.mix(hash ^ Hashing.mix(settings.seed))
    let delay = random.multipliedFullWidth(by: UInt64(settings.maxDelayMs) + 1).high
    return max(0, seconds * 1000 - Int64(delay))
  }
}
