import FreshetCluster
import FreshetCore
import FreshetTable

/// A parameter server with one table, and pushes of random rows for it.
final class PushedServer {
  private static let fillRows = 4096
  private static let minutes: UInt32 = 29_000_000
  private static let partition = PartitionID(0)

  let configuration: ShardServer.Configuration
  let shards: ShardServer
  private let settings: SnapshotBenchmark.Settings
  private var generator = SeededGenerator(seed: 42)
  private let epoch: Epoch
  private var next: Int64 = 0
  /// Gradients that pushes take from, one stretch after the other.
  private let gradients: [Float]
  private var body = BinaryWriter(capacity: 1 << 20)
  private var byShard: [[Fid]]

  init(_ settings: SnapshotBenchmark.Settings) {
    self.settings = settings
    configuration = ShardServer.Configuration(
      map: ShardMap(shardCount: settings.shards, serverCount: 1), server: ServerID(0),
      layouts: [
        TableLayout(
          name: "bench", width: settings.dimension, weightFormat: .float32,
          optimizer: .adagrad(Adagrad(learningRate: 0.05, initialAccumulator: 0.1, epsilon: 1e-8)),
          gradientRules: .none, initializer: .uniform(bound: 0.01, columns: settings.dimension, seed: 1),
          admission: .everything, expiry: Expiry(timeToLiveMinutes: nil, maximumRows: nil))
      ],
      generation: 1, deltaLogBytes: 0, maximumRows: max(Self.fillRows, settings.pushRows), isSnapshotted: true)
    shards = ShardServer(configuration: configuration)
    epoch = shards.claim(Self.partition).epoch
    var generator = SeededGenerator(seed: 1)
    gradients = (0..<max(Self.fillRows, settings.pushRows) * settings.dimension * 2).map { _ in
      Float(generator.nextUnit() - 0.5) * 0.02
    }
    byShard = Array(repeating: [], count: settings.shards)
  }

  private func fid(_ number: Int) -> Fid { Hashing.mix(UInt64(number) + 1) }

  func fill() {
    var first = 0
    while first < settings.rows {
      let numbers = first..<min(first + Self.fillRows, settings.rows)
      prepare(numbers)
      apply()
      first = numbers.upperBound
    }
    let deadline = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < deadline, shards.maintainTables() {}
    _ = shards.sealDeltas(includingDense: true, compressor: NoCompressor())
  }

  /// A pull of one row.
  var probe: [UInt8] {
    let fid = fid(0)
    var writer = BinaryWriter(capacity: 64)
    [fid].withUnsafeBufferPointer {
      PullRequest.encode(
        sections: [RowSection(shard: configuration.map.shard(of: fid), table: 0, count: 1)], fids: $0, into: &writer)
    }
    return writer.bytes
  }

  /// Applies pushes of random rows, each at its time: one that comes late waits for nobody, and its wait counts.
  /// - Parameter loop: Copies slices in between, one base after the other.
  func push(for seconds: Double, beside loop: SnapshotLoop?) -> PushTimes {
    let periodNs = UInt64(1e9 / Double(settings.pushesPerSecond))
    var times = PushTimes()
    prepareRandom()
    var due = Instant.now()
    let end = due.advanced(byMs: Int(seconds * 1e3))
    while due < end {
      let now = Instant.now()
      if now >= due {
        apply()
        times.add(Instant.now().milliseconds(since: due))
        due = Instant(nanoseconds: due.nanoseconds + periodNs)
        prepareRandom()
      } else {
        loop?.turn(isEndless: true)
      }
    }
    return times
  }

  private func prepareRandom() {
    prepare((0..<settings.pushRows).lazy.map { _ in Int(self.generator.next() % UInt64(self.settings.rows)) })
  }

  /// Encodes a push for the rows of these numbers.
  private func prepare(_ numbers: some Sequence<Int>) {
    for shard in byShard.indices { byShard[shard].removeAll(keepingCapacity: true) }
    for number in numbers {
      let fid = fid(number)
      byShard[Int(configuration.map.shard(of: fid).value)].append(fid)
    }
    var sections: [RowSection] = []
    var fids: [Fid] = []
    for (shard, members) in byShard.enumerated() where !members.isEmpty {
      // A push names a fid once.
      let distinct = Set(members).sorted()
      sections.append(RowSection(shard: ShardID(shard), table: 0, count: distinct.count))
      fids += distinct
    }
    body.removeAll()
    fids.withUnsafeBufferPointer {
      PushRequest.encodeHead(minutes: Self.minutes, report: nil, sections: sections, fids: $0, into: &body)
    }
    let start = Int(generator.next() % UInt64(gradients.count / 2))
    gradients.withUnsafeBufferPointer {
      body.write(floats: UnsafeBufferPointer(rebasing: $0[start..<start + fids.count * settings.dimension]))
    }
  }

  private func apply() {
    let from = next == 0 ? Offset.none : Offset(next)
    next += 1
    do {
      _ = try body.bytes.withUnsafeBytes {
        try shards.push($0, partition: Self.partition, epoch: epoch, from: from, to: Offset(next))
      }
    } catch {
      preconditionFailure("a push of the benchmark was refused: \(error)")
    }
  }
}

/// How long pushes took, in milliseconds.
struct PushTimes {
  private var times: [Double] = []

  mutating func add(_ milliseconds: Double) { times.append(milliseconds) }

  func percentile(_ share: Double) -> Double {
    let sorted = times.sorted()
    return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
  }
}
