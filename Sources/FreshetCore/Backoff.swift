/// Exponential backoff with full jitter: the n-th wait is uniform in `0 ..< min(cap, base × 2^n)`, at least `base / 2`.
public struct Backoff: Sendable {
  public let baseMs: Int
  public let capMs: Int
  public private(set) var attempts = 0
  private var generator: SeededGenerator

  public init(baseMs: Int, capMs: Int, seed: UInt64) {
    precondition(baseMs > 0 && capMs >= baseMs)
    self.baseMs = baseMs
    self.capMs = capMs
    generator = SeededGenerator(seed: seed)
  }

  /// The milliseconds to wait before the next attempt.
  public mutating func next() -> Int {
    let ceiling = min(Double(capMs), Double(baseMs) * Double(UInt64(1) << UInt64(min(attempts, 30))))
    attempts += 1
    return max(baseMs / 2, Int(ceiling * generator.nextUnit()))
  }

  /// Call after a success: the next wait starts from `baseMs` again.
  public mutating func reset() { attempts = 0 }
}
