import FreshetCore

/// Says when an event may go. Pure: it is told the time.
struct ReplayPacer {
  enum Mode: Equatable, Sendable {
    case asFastAsPossible
    /// Units a second.
    case rate(Double)
    /// Event time passes this many times as fast as time.
    case speed(Double)
  }

  struct Settings: Equatable, Sendable {
    var mode: Mode
    /// Units of the whole replay.
    var unitCount: Int
    /// The last `tailCount` units go at `tailRate` a second, whatever came before.
    var tailCount: Int
    var tailRate: Double
    /// The longest of the random sleeps that come between bursts of units; 0 for none.
    var jitterMs: Int
    var seed: UInt64
  }

  /// After a stall a replay catches up with its schedule, but with no more than this much of it.
  static let catchUpLimitMs = 1000

  private let settings: Settings
  private var generator: SeededGenerator
  /// The schedule's zero, set by the first event of each of the two stretches.
  private var origin: (instant: Instant, unit: Int, eventTime: Int64)?
  private var isInTail = false
  private var pauseEnd = Instant(nanoseconds: 0)
  private var unitsUntilPause = Int.max

  init(_ settings: Settings) {
    self.settings = settings
    generator = SeededGenerator(seed: settings.seed)
    if settings.jitterMs > 0 { unitsUntilPause = nextBurst() }
  }

  /// Nothing ever waits.
  var isUnlimited: Bool {
    settings.mode == .asFastAsPossible && settings.tailCount == 0 && settings.jitterMs == 0
  }

  /// The instant from which the event may go; it may go now if that is not after `now`.
  ///
  /// - Parameters:
  ///   - unit: Units completed before the event, so an impression goes with the rating that comes next.
  mutating func due(unit: Int, eventTime: Int64, now: Instant) -> Instant {
    if isUnlimited { return now }
    let tail = settings.tailCount > 0 && unit >= settings.unitCount - settings.tailCount
    if origin == nil || tail != isInTail {
      origin = (now, unit, eventTime)
      isInTail = tail
    }
    guard let zero = origin else { return now }
    var elapsedNs = 0.0
    switch tail ? .rate(settings.tailRate) : settings.mode {
    case .asFastAsPossible: return max(now, pauseEnd)
    case .rate(let rate): elapsedNs = Double(unit - zero.unit) / rate * 1e9
    case .speed(let speed): elapsedNs = Double(max(0, eventTime - zero.eventTime)) / speed * 1e6
    }
    // Sixty years of nanoseconds fit; a schedule beyond them is never reached.
    var due = Instant(nanoseconds: zero.instant.nanoseconds &+ UInt64(min(elapsedNs, 2e18)))
    let late = now.milliseconds(since: due)
    if late > Double(Self.catchUpLimitMs) {
      let shiftNs = UInt64((late - Double(Self.catchUpLimitMs)) * 1e6)
      origin?.instant = Instant(nanoseconds: zero.instant.nanoseconds &+ shiftNs)
      due = Instant(nanoseconds: due.nanoseconds &+ shiftNs)
    }
    return max(due, pauseEnd)
  }

  /// Call after an event that completed a unit.
  mutating func unitSent(now: Instant) {
    guard settings.jitterMs > 0 else { return }
    unitsUntilPause -= 1
    guard unitsUntilPause <= 0 else { return }
    unitsUntilPause = nextBurst()
    pauseEnd = now.advanced(byMs: Int(generator.nextUnit() * Double(settings.jitterMs + 1)))
  }

  /// Up to 2000 units; where there is a rate, long enough for it to be kept: about four times as long as the sleeps.
  private mutating func nextBurst() -> Int {
    var longest = 2000.0
    if case .rate(let rate) = settings.mode { longest = max(1, rate * Double(settings.jitterMs) / 250) }
    return 1 + Int(generator.nextUnit() * longest)
  }
}
