import FreshetCluster
import FreshetCore
import FreshetModel

/// What must come of a simulation: computed from the inputs and from the committed examples, beside the machines under test.
final class Oracle {
  private let world: World
  private let scenario: Scenario
  private let model: SimulatedModel
  let map: ShardMap
  let fids: [Fid]
  private var missing: [ExpectedExample: Int]
  private var missingDeadLetters: [DeadLetterReason: Int]
  private var batch: ExampleBatch
  /// By fid and partition, the offsets of its occurrences, ascending.
  private var occurrences: [Fid: [[Int64]]] = [:]
  /// By task and partition, the offsets of the examples with its label.
  private var labelled: [[[Int64]]]
  /// By partition: behind the last committed example.
  private(set) var ends: [Int64]
  private(set) var exampleCount = 0
  /// By partition, shard: the furthest watermark that any life of the shard has had.
  private var furthest: [[Int64]]
  /// By shard: the watermarks of each snapshot that was begun, as text.
  private var cuts: [Set<String>]

  init(_ scenario: Scenario, model: SimulatedModel, workload: Workload, map: ShardMap, world: World) {
    self.world = world
    self.scenario = scenario
    self.model = model
    self.map = map
    fids = workload.fids
    missing = workload.expected
    missingDeadLetters = workload.expectedDeadLetters
    batch = ExampleBatch(layout: model.extractor.layout, capacity: 64, fidCapacity: 1 << 14)
    for fid in workload.fids { occurrences[fid] = Array(repeating: [], count: scenario.partitions) }
    labelled = model.spec.tasks.map { _ in Array(repeating: [], count: scenario.partitions) }
    ends = Array(repeating: -1, count: scenario.partitions)
    furthest = Array(repeating: Array(repeating: -1, count: map.shardCount), count: scenario.partitions)
    cuts = Array(repeating: [], count: map.shardCount)
  }

  // MARK: - The join

  /// Examples have become visible: each must be one that the inputs ask for, and come once.
  func committed(_ partition: Int, _ records: [LogRecord]) {
    for record in records {
      batch.removeAll()
      do {
        try (record.payload ?? []).withUnsafeBytes { try batch.append($0, offset: record.offset) }
      } catch {
        return world.fail("examples are readable", "partition \(partition) offset \(record.offset): \(error)")
      }
      let example = ExpectedExample(
        partition: partition, requestHash: batch.requestHashes[0], eventTimeMs: batch.eventTimes[0],
        actionTimeMs: batch.actionTimes[0], isNegative: batch.origins[0] == .negative,
        labels: batch.labels.map(ExpectedExample.bits), fids: batch.fids)
      guard let count = missing[example] else {
        return world.fail(
          "examples equal the join of the inputs",
          "partition \(partition) offset \(record.offset): not asked for, or there already: \(example)")
      }
      missing[example] = count > 1 ? count - 1 : nil
      for fid in batch.fids { occurrences[fid]?[partition].append(record.offset) }
      for task in labelled.indices where isJudged(task) { labelled[task][partition].append(record.offset) }
      ends[partition] = record.offset + 1
      exampleCount += 1
    }
  }

  /// Whether progressive validation counts the label that the example in the batch has for a task.
  private func isJudged(_ task: Int) -> Bool {
    ExampleLoss(
      logit: 0, label: batch.labels[task], origin: batch.origins[0], negativeRate: batch.negativeRates[0],
      requestHash: batch.requestHashes[0]
    ).isCounted
  }

  func committed(deadLetter reason: DeadLetterReason) {
    world.met(.deadLetter)
    guard let count = missingDeadLetters[reason] else {
      return world.fail("dead letters equal those of the inputs", "one more \(reason.rawValue)")
    }
    missingDeadLetters[reason] = count > 1 ? count - 1 : nil
  }

  var isJoined: Bool { missing.isEmpty && missingDeadLetters.isEmpty }
  var missingText: String {
    "\(missing.count) examples, such as \(missing.keys.first.map { "\($0)" } ?? "none"); \(missingDeadLetters)"
  }

  // MARK: - Counting

  /// How often a fid occurs in the examples below the watermarks of its shard; by partition.
  func count(_ fid: Fid, below watermarks: [Int64]) -> Int {
    guard let offsets = occurrences[fid] else { return 0 }
    var count = 0
    for partition in offsets.indices {
      let watermark = watermarks[partition]
      if let last = offsets[partition].last, last < watermark {
        count += offsets[partition].count
      } else {
        count += offsets[partition].count { $0 < watermark }
      }
    }
    return count
  }

  /// The audit row that so many occurrences make; nil if they make none.
  func row(count: Int) -> Float? {
    count >= scenario.admission ? Float(count - (scenario.admission - 1)) : nil
  }

  /// Examples that progressive validation has counted when shards have these watermarks.
  func validated(task: Int, partition: Int, below watermark: Int64) -> Int {
    labelled[task][partition].count { $0 < watermark }
  }

  // MARK: - Watermarks

  func reached(shard: Int, partition: Int, _ watermark: Int64) {
    furthest[partition][shard] = max(furthest[partition][shard], watermark)
  }

  /// An offset that a trainer commits: every shard has had all examples below it, in this life or an earlier one.
  func checkCommit(_ partition: Int, _ offset: Int64) {
    for shard in furthest[partition].indices where furthest[partition][shard] < offset {
      world.fail(
        "committed offsets do not pass what every shard has had",
        "partition \(partition): \(offset) is committed, shard \(shard) never was beyond \(furthest[partition][shard])")
    }
  }

  private static func text(_ watermarks: [Int64]) -> String { watermarks.map(String.init).joined(separator: " ") }

  /// A snapshot of a shard begins: a later life may start from here.
  func began(snapshotOf shard: Int, _ watermarks: [Int64]) { cuts[shard].insert(Self.text(watermarks)) }

  /// A life of a shard starts: from nothing, or from a snapshot that was begun with just these watermarks.
  func started(shard: Int, _ watermarks: [Int64]) {
    guard watermarks.contains(where: { $0 != -1 }), !cuts[shard].contains(Self.text(watermarks)) else { return }
    world.fail(
      "watermarks go back only to those of a snapshot",
      "shard \(shard) starts at \(Self.text(watermarks)), which no snapshot was begun at")
  }
}
