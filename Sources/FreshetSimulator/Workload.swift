import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetTable

/// The model that simulated clusters learn: small, with every kind of slot that matters to exactly-once.
struct SimulatedModel {
  let spec: ModelSpec
  let tables: ModelTables
  let extractor: FeatureExtractor

  /// Counters of the audit's admission sketch. Large enough that no counter is halved that matters (`Workload.init`).
  static let sketchBytes = 16_384

  /// - Parameters:
  ///   - admission: How often a fid must occur before the audit gives it a row; 1 for no rule.
  ///   - timeToLiveMinutes: Of the rows that are learned; the audit's never go.
  init(admission: Int, timeToLiveMinutes: UInt32?) throws {
    spec = ModelSpec(
      name: "simulated", userKey: 0, itemKey: 1,
      fields: [
        FieldSpec(name: "user_id", type: .integer), FieldSpec(name: "item_id", type: .integer),
        FieldSpec(name: "tags", multi: true), FieldSpec(name: "year", type: .integer, source: .item),
      ],
      slots: [
        SlotSpec(name: "user", index: 0, fields: [0]), SlotSpec(name: "item", index: 1, fields: [1]),
        SlotSpec(name: "tags", index: 2, fields: [2]), SlotSpec(name: "year", index: 3, fields: [3]),
      ],
      tables: [
        TableSpec(
          name: "rows", dimension: 1, optimizer: .adagrad(learningRate: 0.1, initialAccumulator: 0.1, epsilon: 1e-8),
          timeToLiveMinutes: timeToLiveMinutes)
      ],
      network: NetworkSpec(kind: .fm, optimizer: .sgd(learningRate: 0.1)),
      tasks: [
        TaskSpec(name: "like", action: "rating", positive: .valueAtLeast(4)), TaskSpec(name: "click", action: "click"),
      ],
      audit: true)
    extractor = try FeatureExtractor(spec)
    let tables = try ModelTables(spec)
    self.tables =
      admission > 1
      ? tables.withAuditAdmission(.minimumCount(admission, sketchBytes: Self.sketchBytes)) : tables
  }
}

/// An example as the logs of features and actions determine it.
struct ExpectedExample: Hashable {
  let partition: Int
  let requestHash: UInt64
  let eventTimeMs: Int64
  let actionTimeMs: Int64
  let isNegative: Bool
  /// Bit patterns; those of NaN are 0x7fc00000 whatever they were.
  let labels: [UInt32]
  let fids: [Fid]

  static func bits(_ label: Float) -> UInt32 { label.isNaN ? 0x7fc0_0000 : label.bitPattern }
}

/// An input record, and when the application appends it.
struct InputRecord {
  let topic: Topic
  let partition: Int
  /// After the beginning of its round.
  let afterMs: Int
  let payload: [UInt8]
}

/// What users do, and what must come of it.
struct Workload {
  struct Round {
    var records: [InputRecord] = []
    /// Items that are published before their impressions.
    var items: [String] = []
  }

  /// How long an impression waits for its actions. Longer than any run, so that no record is late because of a fault; the
  /// next round begins when all of the last one has been joined, with event times beyond the window.
  static let windowMs: Int64 = 600_000
  static let graceMs: Int64 = 300_000
  static let roundMs = windowMs + 2 * graceMs

  let rounds: [Round]
  let expected: [ExpectedExample: Int]
  let expectedDeadLetters: [DeadLetterReason: Int]
  /// Every fid that may occur.
  let fids: [Fid]

  init(_ scenario: Scenario, model: SimulatedModel, world: World) {
    var builder = WorkloadBuilder(scenario, model: model)
    for round in 0..<scenario.rounds { builder.addRound(round, world) }
    builder.addClosing(round: scenario.rounds)
    rounds = builder.rounds
    expected = builder.expected
    expectedDeadLetters = builder.deadLetters
    fids = builder.fids
  }
}

/// Makes up a workload round by round.
private struct WorkloadBuilder {
  let scenario: Scenario
  let model: SimulatedModel
  var rounds: [Workload.Round] = []
  var expected: [ExpectedExample: Int] = [:]
  var deadLetters: [DeadLetterReason: Int] = [:]
  var fids: [Fid] = []
  private let users: [Int]
  private let items: [Int]
  private let years: [Int]
  private let tags: [String]
  private var requests = 0
  private var published: Set<Int> = []

  init(_ scenario: Scenario, model: SimulatedModel) {
    self.scenario = scenario
    self.model = model
    var chooser = FidChooser(scenario: scenario)
    users = (0..<scenario.users).map { _ in chooser.choose(slot: "user") }
    items = (0..<scenario.items).map { _ in chooser.choose(slot: "item") }
    years = (0..<4).map { _ in chooser.choose(slot: "year") }
    tags = (0..<5).map { _ in String(chooser.choose(slot: "tags")) }
    fids = chooser.fids
  }

  private func year(of item: Int) -> Int { years[item % years.count] }

  mutating func addRound(_ round: Int, _ world: World) {
    rounds.append(Workload.Round())
    for _ in 0..<scenario.requestsPerRound { addRequest(round, world) }
  }

  /// A record beyond everything, so that all windows close.
  mutating func addClosing(round: Int) {
    rounds.append(Workload.Round())
    for partition in 0..<scenario.partitions {
      let time = eventTime(round: round, afterMs: 1)
      add(.features, partition, 1, feature("closing-\(partition)", time, user: users[0], item: items[0], tags: []))
    }
  }

  private func eventTime(round: Int, afterMs: Int) -> Int64 {
    World.epochMs + Int64(round) * Workload.roundMs + Int64(afterMs)
  }

  private mutating func add(_ topic: Topic, _ partition: Int, _ afterMs: Int, _ text: String) {
    rounds[rounds.count - 1].records.append(
      InputRecord(topic: topic, partition: partition, afterMs: max(0, afterMs), payload: Array(text.utf8)))
  }

  private func feature(_ request: String, _ time: Int64, user: Int, item: Int, tags: [String]) -> String {
    let list = tags.map { "\"\($0)\"" }.joined(separator: ",")
    return
      #"{"request_id":"\#(request)","event_time":\#(time),"user_id":\#(user),"item_id":\#(item),"tags":[\#(list)]}"#
  }

  private func action(_ request: String, _ time: Int64, _ kind: String, _ value: Int) -> String {
    #"{"request_id":"\#(request)","event_time":\#(time),"action":"\#(kind)","value":\#(value)}"#
  }

  private mutating func addRequest(_ round: Int, _ world: World) {
    requests += 1
    let request = "r\(requests)"
    let userNumber = world.draw(0..<users.count)
    let user = users[userNumber]
    let item = items[world.draw(0..<items.count)]
    let partition = userNumber % scenario.partitions
    let afterMs = world.draw(0...scenario.roundMilliseconds)
    let time = eventTime(round: round, afterMs: afterMs)
    let tags = self.tags.filter { _ in world.chance(300) }
    let disorder = scenario.disorderMs
    if world.chance(30) { return addBad(partition, afterMs, world) }
    let hasFeature = !world.chance(60)
    if hasFeature {
      // A twentieth of the items is in no catalog.
      if item % 20 != 0, published.insert(item).inserted {
        rounds[rounds.count - 1].items.append(#"{"item_id":\#(item),"year":\#(year(of: item))}"#)
      }
      let text = feature(request, time, user: user, item: item, tags: tags)
      add(.features, partition, afterMs + world.draw(0...disorder), text)
      if world.chance(100) { add(.features, partition, afterMs + world.draw(0...3 * disorder), text) }
    }
    var slots = [
      Hashing.fid(slot: "user", value: String(user)), Hashing.fid(slot: "item", value: String(item)),
    ]
    slots += tags.map { Hashing.fid(slot: "tags", value: $0) }
    if item % 20 != 0 { slots.append(Hashing.fid(slot: "year", value: String(year(of: item)))) }
    var hasAction = false
    for kind in ["rating", "click"] where world.chance(600) {
      hasAction = true
      let actionTime = max(World.epochMs, time + Int64(world.draw(-200...2_000)))
      let value = world.draw(1...5)
      let text = action(request, actionTime, kind, value)
      let appendMs = afterMs + Int(actionTime - time) + world.draw(0...disorder)
      let copies = world.chance(100) ? 2 : 1
      for copy in 0..<copies { add(.actions, partition, appendMs + copy * world.draw(0...3 * disorder), text) }
      guard hasFeature else {
        deadLetters[.orphanAction, default: 0] += copies
        continue
      }
      let labels: [Float] = kind == "rating" ? [value >= 4 ? 1 : 0, .nan] : [.nan, 1]
      expect(partition, request, time, actionTime, isNegative: false, labels, slots)
    }
    if hasFeature, !hasAction, keepsNegative(request) {
      expect(partition, request, time, time + Workload.windowMs, isNegative: true, [0, 0], slots)
    }
  }

  /// The rule of docs/joiner.md: the same answer whenever it is asked.
  private func keepsNegative(_ request: String) -> Bool {
    guard scenario.negativeRate > 0 else { return false }
    var generator = SeededGenerator(seed: Hashing.xxh3(request) ^ Hashing.mix(JoinerConfig().negativeSeed))
    return generator.nextUnit() < Double(scenario.negativeRate)
  }

  private mutating func expect(
    _ partition: Int, _ request: String, _ time: Int64, _ actionTime: Int64, isNegative: Bool, _ labels: [Float],
    _ fids: [Fid]
  ) {
    let example = ExpectedExample(
      partition: partition, requestHash: Hashing.xxh3(request), eventTimeMs: time, actionTimeMs: actionTime,
      isNegative: isNegative, labels: labels.map(ExpectedExample.bits), fids: fids)
    expected[example, default: 0] += 1
  }

  private mutating func addBad(_ partition: Int, _ afterMs: Int, _ world: World) {
    if world.chance(500) {
      add(.features, partition, afterMs, "{\"request_id\":")
      deadLetters[.malformedJSON, default: 0] += 1
    } else {
      add(.actions, partition, afterMs, action("r\(requests)", World.epochMs, "view", 1))
      deadLetters[.unknownAction, default: 0] += 1
    }
  }
}

/// Chooses values whose fids get a counter of their own in an admission sketch, so that it counts exactly.
///
/// The sketch halves the counters of its lines one line after the other, one at every eighth addition (`CountingSketch`). A fid
/// without a row is added at most `admission − 1` times; the lines that can come up by then are kept free.
private struct FidChooser {
  let scenario: Scenario
  private(set) var fids: [Fid] = []
  private var taken: Set<Int> = []
  private var next = 1
  private static let lines = SimulatedModel.sketchBytes / 64
  private static let reservedLines = 32

  init(scenario: Scenario) { self.scenario = scenario }

  mutating func choose(slot: String) -> Int {
    while true {
      let value = next
      next += 1
      let fid = Hashing.fid(slot: slot, value: String(value))
      if scenario.admission > 1 {
        let hash = Hashing.mix(fid &+ 0x9e37_79b9_7f4a_7c15)
        let line = Int(((hash >> 32) &* UInt64(Self.lines)) >> 32)
        let shard = ShardMap.shardIndex(of: fid, shardCount: scenario.shards)
        guard line >= Self.reservedLines, taken.insert(shard * Self.lines + line).inserted else { continue }
      }
      fids.append(fid)
      return value
    }
  }
}
