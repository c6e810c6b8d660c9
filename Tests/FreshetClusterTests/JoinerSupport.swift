import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

/// A small model: two request fields, the item's year, two tasks.
let joinerSpec: ModelSpec = {
  let fields = [
    FieldSpec(name: "user_id", type: .integer),
    FieldSpec(name: "item_id", type: .integer),
    FieldSpec(name: "year", type: .integer, source: .item),
  ]
  return ModelSpec(
    name: "test", userKey: 0, itemKey: 1, fields: fields,
    slots: [
      SlotSpec(name: "user", index: 0, fields: [0]), SlotSpec(name: "item", index: 1, fields: [1]),
      SlotSpec(name: "year", index: 2, fields: [2]),
    ],
    tables: [TableSpec(name: "t", dimension: 4)], network: NetworkSpec(kind: .fm),
    tasks: [
      TaskSpec(name: "like", action: "rating", positive: .valueAtLeast(4)),
      TaskSpec(name: "click", action: "click"),
    ])
}()

/// A partition with a clock, a catalog and a collected output, fed from texts.
final class JoinerBench {
  struct Example: Hashable {
    var key: String
    var requestHash: UInt64
    var eventTimeMs: Int64
    var actionTimeMs: Int64
    var ingestTimeMs: Int64
    var labels: [String]
    var origin: ExampleOrigin
    var isNegative: Bool { origin == .negative }
    var fidCounts: [Int]
  }

  let partition: JoinerPartition
  let extractor: FeatureExtractor
  var catalog = ItemCatalog(capacity: 1000)
  let output = JoinerOutput()
  var examples: [Example] = []
  var deadLetters: [DeadLetter] = []
  var flow: [String] = []
  var nowMs: UInt64 = 1_000_000
  var asked = 0
  /// Items that a refresh brings.
  var pendingItems: [String] = []
  /// What else a refresh does.
  var onRefresh: () throws -> Void = {}

  init(
    _ configure: (inout JoinerConfig) -> Void = { _ in }, spec: ModelSpec = joinerSpec,
    from: JoinerCommitPoint = .start, state: MemoryState? = nil, items: [String] = JoinerBench.standardItems
  ) throws {
    var config = JoinerConfig()
    config.windowMs = 1000
    config.graceMs = 100
    config.maxAheadMs = 1 << 40
    configure(&config)
    extractor = try FeatureExtractor(spec)
    partition = try JoinerPartition(
      config: config, extractor: extractor, from: from, state: state, stateAt: try state?.check(config, from),
      itemsAsOf: UnixTime(milliseconds: 0), now: Instant(nanoseconds: nowMs * 1_000_000))
    for item in items { try addItem(item) }
  }

  static let standardItems = (0..<20).map { #"{"item_id":\#($0),"year":\#(1980 + $0)}"# }

  func addItem(_ json: String) throws {
    let reader = JSONRecordReader(maxBytes: 10_000, maxDepth: 8)
    let scratch = extractor.makeScratch()
    try Array(json.utf8).withUnsafeBytes { try catalog.upsert($0, extractor, reader, scratch) }
  }

  var now: Instant { Instant(nanoseconds: nowMs * 1_000_000) }

  func feed(_ topic: JoinerTopic, _ offset: Int64, _ text: String?, appendTimeMs: Int64? = nil) {
    let append = appendTimeMs ?? Int64(nowMs)
    guard let text else {
      return partition.receive(topic, JoinerRecord(offset: offset, appendTimeMs: append, payload: nil), now: now)
    }
    Array(text.utf8).withUnsafeBytes {
      partition.receive(topic, JoinerRecord(offset: offset, appendTimeMs: append, payload: $0), now: now)
    }
  }

  func feature(_ offset: Int64, _ request: String, at time: Int64, user: Int = 7, item: Int = 3) {
    feed(.features, offset, Self.feature(request, at: time, user: user, item: item))
  }

  func action(_ offset: Int64, _ request: String, at time: Int64, value: Double = 5, kind: String = "rating") {
    feed(.actions, offset, Self.action(request, at: time, value: value, kind: kind))
  }

  static func feature(_ request: String, at time: Int64, user: Int = 7, item: Int = 3) -> String {
    #"{"request_id":"\#(request)","event_time":\#(time),"user_id":\#(user),"item_id":\#(item)}"#
  }

  static func action(_ request: String, at time: Int64, value: Double = 5, kind: String = "rating") -> String {
    #"{"request_id":"\#(request)","event_time":\#(time),"user_id":7,"action":"\#(kind)","value":\#(value)}"#
  }

  func end() {
    partition.reachedEnd(.features, now: now)
    partition.reachedEnd(.actions, now: now)
  }

  /// The broker holds nothing that has not been fed.
  func confirmEnds() {
    for topic in JoinerTopic.allCases { partition.confirmedEnd(topic, now: now) }
  }

  /// Topics whose log holds records that have not been fed: their ends are not confirmed.
  var unfinished: Set<JoinerTopic> = []

  /// Runs until nothing more happens, refreshing items and confirming ends when asked.
  func run() throws {
    while true {
      let progress = partition.run(catalog: catalog, now: now, output: output)
      let wanted = output.needsEnd
      try collect()
      switch progress {
      case .drained:
        guard let wanted, !unfinished.contains(wanted) else { return }
        partition.confirmedEnd(wanted, now: now)
      case .outputFull: continue
      case .commitNeeded: commit()
      case .diskFull: return
      case .stateFailed: throw try #require(partition.stateProblem)
      case .waitingForItems:
        asked += 1
        for item in pendingItems { try addItem(item) }
        pendingItems = []
        try onRefresh()
        partition.itemsRefreshed(asOf: UnixTime(milliseconds: Int64(nowMs)))
      }
    }
  }

  /// Where the last commit was, and what had come out by then.
  var committed: JoinerCommitPoint?
  var committedExamples = 0
  var committedLetters = 0

  /// Commits what has come out so far, if that is possible now.
  func commit() {
    guard let point = partition.commitPoint else { return }
    committed = point
    committedExamples = examples.count
    committedLetters = deadLetters.count
    partition.committed(point, now: now)
  }

  /// Both topics are read to their ends and silent for long.
  func settle() throws {
    end()
    try run()
    for _ in 0..<2 {
      nowMs += 10_000
      try run()
    }
  }

  func collect() throws {
    var batch = ExampleBatch(layout: extractor.layout, capacity: max(1, output.examples.count))
    for (index, entry) in output.examples.enumerated() {
      try batch.append(output.value(entry), offset: Int64(index))
      examples.append(
        Example(
          key: String(decoding: output.key(entry), as: UTF8.self), requestHash: batch.requestHashes[index],
          eventTimeMs: batch.eventTimes[index], actionTimeMs: batch.actionTimes[index],
          ingestTimeMs: batch.ingestTimes[index],
          labels: (0..<batch.layout.taskCount).map { "\(batch.labels[index * batch.layout.taskCount + $0])" },
          origin: batch.origins[index],
          fidCounts: (0..<batch.layout.slotCount).map { batch.fidRange(example: index, slot: $0).count }))
    }
    deadLetters += output.deadLetters
    flow += output.flow.map { "\($0.topic) \($0.paused ? "paused" : "resumed")" }
    output.removeAll()
  }
}
