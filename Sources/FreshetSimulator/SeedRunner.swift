/// Runs many seeds on some threads. Seeds know nothing of each other.
public struct SeedRunner: Sendable {
  public struct Report: Sendable {
    /// Seeds run.
    public fileprivate(set) var seeds = 0
    public fileprivate(set) var steps = 0
    public fileprivate(set) var examples = 0
    public fileprivate(set) var virtualMilliseconds = 0
    public fileprivate(set) var coverage = Coverage()
    /// Ascending by seed, at most `maximumFailures`.
    public fileprivate(set) var failures: [SimulationResult] = []
    /// All of them.
    public fileprivate(set) var failureCount = 0

    fileprivate mutating func add(_ result: SimulationResult) {
      seeds += 1
      steps += result.steps
      examples += result.examples
      virtualMilliseconds += result.virtualMilliseconds
      coverage.merge(result.coverage)
      guard result.violation != nil else { return }
      failureCount += 1
      failures.append(result)
      failures.sort { $0.seed < $1.seed }
      if failures.count > SeedRunner.maximumFailures { failures.removeLast() }
    }
  }

  /// Failures that are kept with their traces.
  public static let maximumFailures = 20

  public let profile: SimulationProfile
  /// At most that many seeds at once.
  public let threads: Int
  public let untilFailure: Bool
  /// Whether every run keeps all of its trace.
  public let keepsTraces: Bool

  public init(profile: SimulationProfile, threads: Int, untilFailure: Bool, keepsTraces: Bool) {
    precondition(threads > 0)
    self.profile = profile
    self.threads = threads
    self.untilFailure = untilFailure
    self.keepsTraces = keepsTraces
  }

  /// - Parameter onResult: Called after each seed, in the order in which they end, with what has come together so far.
  public func run(_ seeds: ClosedRange<UInt64>, onResult: (SimulationResult, Report) -> Void) async -> Report {
    var report = Report()
    let keepsTraces = keepsTraces
    let profile = profile
    await withTaskGroup(of: SimulationResult.self) { group in
      var waiting = seeds.makeIterator()
      func addNext() {
        guard let seed = waiting.next() else { return }
        group.addTask { Simulation.run(seed: seed, profile: profile, keepsTrace: keepsTraces) }
      }
      for _ in 0..<threads { addNext() }
      while let result = await group.next() {
        report.add(result)
        onResult(result, report)
        if !untilFailure || report.failureCount == 0 { addNext() }
      }
    }
    return report
  }
}
