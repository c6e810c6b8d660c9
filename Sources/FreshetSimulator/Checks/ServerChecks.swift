import FreshetCluster
import FreshetCore

/// Watches one life of a parameter server from outside: what it answers, and its watermarks and counts before and after.
struct ServerChecks {
  private let world: World
  private let oracle: Oracle
  private let name: String
  private let machine: ShardServer
  private let shards: [Int]
  private let partitions: Int
  private let taskCount: Int
  private var latestClaim: [PartitionID: Epoch] = [:]
  /// By partition, by position in `shards`.
  private var marks: [[Int64]]

  init(world: World, oracle: Oracle, name: String, machine: ShardServer, shards: [Int], partitions: Int, taskCount: Int)
  {
    self.world = world
    self.oracle = oracle
    self.name = name
    self.machine = machine
    self.shards = shards
    self.partitions = partitions
    self.taskCount = taskCount
    marks = []
    marks = readMarks()
  }

  private func readMarks() -> [[Int64]] {
    var marks = Array(repeating: Array(repeating: Int64(-1), count: shards.count), count: partitions)
    for (shard, partition, offset) in machine.watermarks {
      marks[Int(partition.value)][shards.firstIndex(of: Int(shard.value))!] = offset.value
    }
    return marks
  }

  /// The watermarks of one shard, by partition.
  func watermarks(of shard: Int) -> [Int64] {
    let position = shards.firstIndex(of: shard)!
    return marks.map { $0[position] }
  }

  // MARK: - Commands

  /// After the machine was made: fresh, or from snapshots.
  func started() {
    for shard in shards { oracle.started(shard: shard, watermarks(of: shard)) }
    checkCounts("a server starts with the counts of its watermarks")
    checkValidation("a server starts with the validation of its watermarks")
  }

  mutating func claimed(_ partition: PartitionID, _ reply: ClaimReply) {
    if let latest = latestClaim[partition], reply.epoch <= latest {
      world.fail("epochs rise", "\(name) partition \(partition): \(reply.epoch) after \(latest)")
    }
    latestClaim[partition] = reply.epoch
    for entry in reply.watermarks {
      let known = marks[Int(partition.value)][shards.firstIndex(of: Int(entry.shard.value))!]
      if entry.watermark.value != known {
        world.fail("a claim tells the watermarks", "\(name) shard \(entry.shard): \(entry.watermark), not \(known)")
      }
    }
  }

  /// After a push. `refusal` is nil if the server took it.
  mutating func pushed(
    _ partition: PartitionID, _ epoch: Epoch, from: Offset, to: Offset, refusal: ClusterError?
  ) {
    let before = marks
    let after = readMarks()
    let number = Int(partition.value)
    marks = after
    guard refusal == nil else {
      if before != after { world.fail("a refused push changes nothing", "\(name) partition \(partition): \(refusal!)") }
      return
    }
    if latestClaim[partition] != epoch {
      let latest = latestClaim[partition].map { "\($0)" } ?? "none"
      world.fail(
        "a push counts only under the latest claim", "\(name) partition \(partition): epoch \(epoch), latest \(latest)")
    }
    for (position, shard) in shards.enumerated() {
      let old = before[number][position]
      let new = after[number][position]
      let what = "\(name) partition \(partition) shard \(shard): \(old) → \(new) by a push of \(from) ..< \(to)"
      if new < to.value { world.fail("an acknowledged push is in every shard", what) }
      if new != old && (old != from.value || new != to.value) {
        world.fail("a push is applied only where it adjoins the watermark", what)
      }
      if new < old { world.fail("watermarks do not go back", what) }
      oracle.reached(shard: shard, partition: number, new)
    }
    for other in 0..<partitions where other != number && before[other] != after[other] {
      world.fail("a push moves only its own partition", "\(name) partition \(partition) moved \(other)")
    }
  }

  // MARK: - Counts

  /// Each audit row equals the number of examples below its shard's watermarks.
  func checkCounts(_ check: String) {
    var expectedRows = 0
    for fid in oracle.fids {
      let shard = ShardMap.shardIndex(of: fid, shardCount: oracle.map.shardCount)
      guard let position = shards.firstIndex(of: shard) else { continue }
      let count = oracle.count(fid, below: marks.map { $0[position] })
      let expected = oracle.row(count: count)
      if expected != nil { expectedRows += 1 }
      let found: Float?
      do {
        let row = try machine.row(table: "audit", fid: fid)
        found = row.exists ? row.weights[0] : nil
      } catch {
        return world.fail(check, "\(name): \(error)")
      }
      if found != expected {
        world.fail(
          check,
          "\(name) shard \(shard) fid \(fid): counts \(found.map { "\($0)" } ?? "nothing"), "
            + "\(expected.map { "\($0)" } ?? "nothing") expected of \(count) below \(marks.map { $0[position] })")
        return
      }
    }
    if let audit = machine.tableTotals().first(where: { $0.name == "audit" }), audit.rows != expectedRows {
      world.fail(check, "\(name): \(audit.rows) audit rows, \(expectedRows) expected")
    }
  }

  /// Progressive validation has counted each example once.
  func checkValidation(_ check: String) {
    let report = machine.validation(taskCount: taskCount)
    for task in 0..<taskCount {
      var expected = 0
      for partition in 0..<partitions {
        let shard = ShardServer.reportShard(of: PartitionID(Int32(partition)), shardCount: oracle.map.shardCount)
        guard let position = shards.firstIndex(of: Int(shard.value)) else { continue }
        expected += oracle.validated(task: task, partition: partition, below: marks[partition][position])
      }
      if report.tasks[task].total.count != UInt64(expected) {
        world.fail(check, "\(name) task \(task): \(report.tasks[task].total.count) examples, \(expected) expected")
      }
    }
  }
}
