import FreshetCore
import FreshetWire
import NIOCore

/// `freshet bench score`: requests for scores on one thread, from their words to the bytes of the reply, without the network.
public struct ScoreBenchmark {
  public struct Settings: Sendable {
    public var users: Int
    public var items: Int
    public var shards: Int
    /// For which each kind of request is measured.
    public var seconds: Double

    public init(users: Int, items: Int, shards: Int, seconds: Double) {
      self.users = users
      self.items = items
      self.shards = shards
      self.seconds = seconds
    }
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    public var users: Int
    public var items: Int
    public var shards: Int
    public var dim: Int
    public var hidden: [Int]
    /// Of requests with one candidate.
    public var score_us: Double
    /// The same, of 16 that came together.
    public var burst_score_us: Double
    public var candidates_per_second_1: Double
    public var candidates_per_second_100: Double
    public var candidates_per_second_10000: Double
    /// The same with rows and dense tensors changed before each request, so that no item's part is at hand.
    public var candidates_per_second_100_changed: Double
    /// Over all items, the ten best.
    public var recommend_ms: Double
    public var recommend_changed_ms: Double
    /// The longest time for which a recommendation kept others waiting, and the usual one.
    public var max_slice_ms: Double
    public var p50_slice_ms: Double
    public var cache_bytes: Int
  }

  /// Different requests that take turns.
  private static let variety = 256
  private static let topK = 10
  private static let burstRequests = 16

  private let settings: Settings
  private let bench: ScoredReplica
  private var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
  private var slices: [Double] = []

  public init(_ settings: Settings) throws {
    self.settings = settings
    bench = try ScoredReplica(users: settings.users, items: settings.items, shards: settings.shards)
    encoder.buffer.reserveCapacity(1 << 20)
  }

  public mutating func run() throws -> Report {
    let one = try candidateRate(1, changes: false)
    let burst = try burstMicroseconds()
    let hundred = try candidateRate(100, changes: false)
    let changed = try candidateRate(100, changes: true)
    let many = try candidateRate(10_000, changes: false)
    let recommend = try recommendMs(changes: false)
    let recommendChanged = try recommendMs(changes: true)
    slices.sort()
    return Report(
      users: settings.users, items: settings.items, shards: settings.shards, dim: bench.model.tables[0].dimension,
      hidden: bench.model.network.hidden, score_us: 1e6 / one, burst_score_us: burst,
      candidates_per_second_1: one,
      candidates_per_second_100: hundred, candidates_per_second_10000: many, candidates_per_second_100_changed: changed,
      recommend_ms: recommend, recommend_changed_ms: recommendChanged, max_slice_ms: slices[slices.count - 1],
      p50_slice_ms: slices[slices.count / 2], cache_bytes: bench.engine.scorer.cachedBytes)
  }

  /// Candidates a second; what changes takes does not count.
  private mutating func candidateRate(_ candidates: Int, changes: Bool) throws -> Double {
    let variety = candidates > 1000 ? 8 : Self.variety
    let requests = (0..<variety).map { bench.scoreRequest($0, candidates: candidates) }
    for request in requests { try score(request) }
    var seconds = 0.0
    var rounds = 0
    while seconds < settings.seconds {
      // A clock is read once for a round, unless changes come in between.
      if changes {
        for request in requests {
          try bench.change()
          let start = Instant.now()
          try score(request)
          seconds += Instant.now().milliseconds(since: start) / 1000
        }
      } else {
        let start = Instant.now()
        for request in requests { try score(request) }
        seconds += Instant.now().milliseconds(since: start) / 1000
      }
      rounds += 1
    }
    return Double(rounds * variety * candidates) / seconds
  }

  private mutating func score(_ request: RESPRequest) throws {
    encoder.buffer.clear()
    bench.engine.write(try bench.engine.score(request), to: &encoder)
  }

  /// For a request of a burst of requests with one candidate.
  private mutating func burstMicroseconds() throws -> Double {
    let requests = (0..<Self.variety).map { bench.scoreRequest($0, candidates: 1) }
    let bursts = stride(from: 0, to: Self.variety, by: Self.burstRequests).map {
      ContiguousArray(requests[$0..<$0 + Self.burstRequests])
    }
    for burst in bursts { try score(burst) }
    let start = Instant.now()
    var rounds = 0
    while Instant.now().milliseconds(since: start) < settings.seconds * 1000 {
      for burst in bursts { try score(burst) }
      rounds += 1
    }
    return Instant.now().milliseconds(since: start) * 1000 / Double(rounds * Self.variety)
  }

  private mutating func score(_ burst: ContiguousArray<RESPRequest>) throws {
    encoder.buffer.clear()
    var refusal: WireError?
    bench.engine.score(burst) { _, result in
      switch result {
      case .success(let scored): bench.engine.write(scored, to: &encoder)
      case .failure(let error): refusal = error
      }
    }
    if let refusal { throw refusal }
  }

  /// The median.
  private mutating func recommendMs(changes: Bool) throws -> Double {
    var times: [Double] = []
    var seconds = 0.0
    while seconds < settings.seconds {
      if changes { try bench.change() }
      let start = Instant.now()
      let recommendation = try bench.recommendation(times.count, topK: Self.topK)
      var isDone = false
      while !isDone {
        let sliceStart = Instant.now()
        isDone = try bench.engine.advance(recommendation)
        slices.append(Instant.now().milliseconds(since: sliceStart))
      }
      encoder.buffer.clear()
      encoder.write(recommendation: recommendation.result)
      times.append(Instant.now().milliseconds(since: start))
      seconds += times[times.count - 1] / 1000
    }
    times.sort()
    return times[times.count / 2]
  }
}
