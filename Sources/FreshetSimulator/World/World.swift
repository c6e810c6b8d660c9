import FreshetCore

/// A promise that did not hold.
public struct Violation: Sendable, Equatable, CustomStringConvertible {
  /// The name of the check.
  public let check: String
  public let message: String
  public let step: Int
  public let nanoseconds: UInt64

  public var description: String { "\(check): \(message) (step \(step), \(nanoseconds / 1_000_000) ms)" }
}

/// The virtual clock, the queue of events and the one source of randomness of a simulation.
final class World {
  /// Wall time at virtual time 0: 2026-01-01T00:00:00Z.
  static let epochMs: Int64 = 1_767_225_600_000

  private(set) var now = Instant(nanoseconds: 1_000_000_000)
  private(set) var step = 0
  private var queue = EventQueue()
  private var random: SeededGenerator
  private var trace: Trace
  private(set) var violation: Violation?
  var coverage = Coverage()
  /// Whether faults are injected; false once the cluster heals.
  var isFaulty = true

  init(seed: UInt64, traceLimit: Int?) {
    random = SeededGenerator(seed: Hashing.mix(seed &+ 0x5eed))
    trace = Trace(limit: traceLimit)
  }

  var unixTime: UnixTime { UnixTime(milliseconds: Self.epochMs + Int64(now.nanoseconds / 1_000_000)) }
  var traceHash: UInt64 { trace.hash }
  var traceLines: [String] { trace.lines }

  // MARK: - Time

  /// Does `body` after so many microseconds; for a process only if it is still in the same life, and not while it is paused.
  func after(_ microseconds: Int, for process: SimulatedProcess?, _ body: @escaping () -> Void) {
    queue.add(
      at: now.nanoseconds &+ UInt64(max(0, microseconds)) &* 1000, process: process, life: process?.life ?? 0, body)
  }

  /// Does the next thing.
  /// - Returns: False if there is nothing to do, or a check has failed.
  func advance() -> Bool {
    guard violation == nil, !queue.isEmpty else { return false }
    let event = queue.removeFirst()
    now = Instant(nanoseconds: max(now.nanoseconds, event.nanoseconds))
    step += 1
    if let process = event.process {
      process.perform(life: event.life, event.body)
    } else {
      event.body()
    }
    return violation == nil
  }

  /// Forgets what was still to happen.
  func end() { queue = EventQueue() }

  // MARK: - Randomness

  func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
  func draw(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
  func drawSeed() -> UInt64 { random.next() }
  /// - Parameter perMille: In `0...1000`.
  func chance(_ perMille: Int) -> Bool { perMille > 0 && Int.random(in: 0..<1000, using: &random) < perMille }
  func pick<Element>(_ elements: [Element]) -> Element? { elements.randomElement(using: &random) }
  func shuffle<Element>(_ elements: inout [Element]) { elements.shuffle(using: &random) }

  // MARK: - Telling

  func note(
    _ source: String, _ kind: StaticString, _ a: Int64 = 0, _ b: Int64 = 0, _ c: Int64 = 0, text: String? = nil
  ) {
    trace.add(
      TraceEntry(step: step, nanoseconds: now.nanoseconds, source: source, kind: kind, values: (a, b, c), text: text))
  }

  func met(_ happening: Happening) { coverage[happening] += 1 }

  /// Ends the run: a check has failed.
  func fail(_ check: String, _ message: String) {
    guard violation == nil else { return }
    violation = Violation(check: check, message: message, step: step, nanoseconds: now.nanoseconds)
    note("check", "VIOLATED", text: "\(check): \(message)")
  }
}
