import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct ReplayDriverTests {
  private static func source(count: Int = 200) -> MovieLensSource {
    var data = MovieLensData.random(count: count, seed: 21, secondsRange: 5000)
    data.movies = (0..<5).map { MovieLensData.Movie(id: UInt32($0), title: "M\($0)", year: nil, genres: []) }
    return MovieLensSource(data: data, settings: ReplayPlanTests.settings())
  }

  private static func unlimited(_ source: MovieLensSource) -> ReplayPacer {
    ReplayPacer(ReplayOptions().pacing(unitCount: source.unitCount))
  }

  private static func sendAll(_ source: MovieLensSource, budget: Int, refusesEvery: Int = 0) throws -> RecordingSink {
    var driver = ReplayDriver(source: source, itemsSent: 0, pacer: unlimited(source))
    let sink = RecordingSink()
    sink.refusesEvery = refusesEvery
    while try driver.run(budget: budget, now: Instant(nanoseconds: 1), sink: sink) != .finished {}
    return sink
  }

  @Test func itemsGoFirstAndEveryEventGoesOnceInOrder() throws {
    let records = try Self.sendAll(Self.source(), budget: 1_000_000).records
    #expect(records.prefix(5).map(\.topic) == Array(repeating: .items, count: 5))
    #expect(records.prefix(5).map(\.key) == ["0", "1", "2", "3", "4"])
    #expect(
      records.filter { $0.topic == .features }.count == 200 && records.filter { $0.topic == .actions }.count == 200)
    let times = try records.dropFirst(5).map { try jsonObject($0.payload.utf8)["event_time"] as? Int ?? -1 }
    #expect(times == times.sorted())
    for record in records.dropFirst(5) {
      #expect(try "\(jsonObject(record.payload.utf8)["user_id"] as? Int ?? -1)" == record.key)
    }
  }

  @Test(arguments: [(1, 0), (7, 0), (3, 2), (100, 3)])
  func aFullQueueAndASmallBudgetLoseAndRepeatNothing(_ budget: Int, _ refusesEvery: Int) throws {
    let all = try Self.sendAll(Self.source(), budget: 1_000_000).records
    #expect(try Self.sendAll(Self.source(), budget: budget, refusesEvery: refusesEvery).records == all)
  }

  @Test func aPacedDriverSaysUntilWhenToWait() throws {
    var options = ReplayOptions()
    options.rate = 10
    let source = Self.source()
    var driver = ReplayDriver(
      source: source, itemsSent: 0, pacer: ReplayPacer(options.pacing(unitCount: source.unitCount)))
    let sink = RecordingSink()
    var now = Instant(nanoseconds: 5_000_000_000)
    var steps = 0
    while case .wait(let until) = try driver.run(budget: 1_000_000, now: now, sink: sink) {
      #expect(until > now)
      now = until
      steps += 1
      #expect(source.unitsDone == steps)
    }
    #expect(abs(now.milliseconds(since: Instant(nanoseconds: 5_000_000_000)) - 19_900) < 1)
  }

  @Test func aSkippedSourceGoesOnWhereTheOtherStopped() throws {
    let all = try Self.sendAll(Self.source(), budget: 1_000_000).records
    for position in [0, 1, 57, 399, 400] {
      let source = Self.source()
      source.skip(to: 33)
      source.rewind()
      source.skip(to: position)
      #expect(source.position == position)
      let rest = try Self.sendAll(source, budget: 64).records
      #expect(rest.dropFirst(5) == all.dropFirst(5 + position))
    }
  }

  @Test func stateSurvivesItsFileAndIsRefusedForAnotherReplay() throws {
    let scratch = try ScratchDirectory(texts: ["bad": "freshet-replay 2\n"])
    let path = scratch.path + "/state"
    #expect(try ReplayState.load(path) == nil)
    let source = Self.source()
    let state = ReplayState(fingerprint: source.fingerprint, events: 123)
    try state.save(path)
    try ReplayState(fingerprint: source.fingerprint, events: 124).save(path)
    #expect(try ReplayState.load(path)?.position(in: source, path: path) == 124)
    #expect(throws: ReplayError.self) { try state.position(in: Self.source(count: 199), path: path) }
    #expect(throws: ReplayError.self) {
      try ReplayState(fingerprint: source.fingerprint, events: 401).position(in: source, path: path)
    }
    #expect(throws: ReplayError.self) { try ReplayState.load(scratch.path + "/bad") }
    #expect(throws: ReplayError.self) { try state.save(scratch.path + "/none/state") }
  }

  @Test(arguments: [
    "", "freshet-replay 1\n", "freshet-replay 1\nfingerprint 00\nevents 1\n",
    "freshet-replay 1\nfingerprint 00000000000000aa\nevents -1\n",
    "freshet-replay 1\nfingerprint 00000000000000aa\nevents 1",
    "freshet-replay 1\nfingerprint 00000000000000zz\nevents 1\n",
  ])
  func aDamagedStateIsNoState(_ text: String) {
    #expect(ReplayState(text: text) == nil)
    #expect(
      ReplayState(text: ReplayState(fingerprint: 0xaa, events: 1).text) == ReplayState(fingerprint: 0xaa, events: 1))
  }

  @Test func badOptionsAreNamed() throws {
    let changes: [(String, (inout ReplayOptions) -> Void)] = [
      ("--data", { $0.dataDirectory = nil }), ("--data", { $0.actionsFile = "a" }), ("--rate", { $0.rate = 0 }),
      ("--speed", { $0.speed = .infinity }),
      (
        "--rate and --speed",
        {
          $0.rate = 1
          $0.speed = 1
        }
      ),
      ("--tail", { $0.tailCount = 1 }), ("--tail", { $0.tailRate = 5 }), ("--jitter", { $0.jitterMs = -1 }),
      ("--start", { $0.start = -1 }), ("--limit", { $0.limit = -1 }), ("--max-delay", { $0.maxDelaySeconds = -1 }),
      ("--key", { $0.keyMember = "" }),
    ]
    for (name, change) in changes {
      var options = ReplayOptions()
      options.dataDirectory = "d"
      try options.validate()
      change(&options)
      let error = #expect(throws: ReplayError.self) { try options.validate() }
      #expect(error?.code == "bad-option" && error?.message.contains(name) == true)
    }
  }
}
