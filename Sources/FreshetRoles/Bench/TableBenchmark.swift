import Foundation
import FreshetCore
import FreshetTable

/// `freshet bench table`: one embedding table on one thread, filled from empty, then read and trained.
public struct TableBenchmark {
  public enum Distribution: String, CaseIterable, Sendable {
    case uniform
    /// With exponent 0.99.
    case zipf
  }

  public enum Operation: String, CaseIterable, Sendable {
    case gather, update
  }

  /// One operation on all queries of a distribution, in batches.
  public struct Pass: Sendable {
    public var operation: Operation
    public var distribution: Distribution

    public init(_ operation: Operation, _ distribution: Distribution) {
      self.operation = operation
      self.distribution = distribution
    }
  }

  public enum Kind: String, CaseIterable, Sendable {
    case sgd, momentum, adagrad, rmsprop, adam, ftrl
  }

  public struct Settings: Sendable {
    public var rows: Int
    public var dimension: Int
    public var optimizer: Kind
    public var distribution: Distribution
    public var weightFormat: WeightFormat
    /// Reads, and then updates, that are timed.
    public var queries: Int
    /// Fids in one call of `gather` and `update`.
    public var batch: Int
    /// Touches the memory that the table will take before it is filled. On a virtual machine the first touch of memory that
    /// the host has not backed takes 4 ms for a huge page, at random.
    public var reservesMemory: Bool

    public init(
      rows: Int, dimension: Int, optimizer: Kind, distribution: Distribution, weightFormat: WeightFormat, queries: Int,
      batch: Int, reservesMemory: Bool
    ) {
      self.rows = rows
      self.dimension = dimension
      self.optimizer = optimizer
      self.distribution = distribution
      self.weightFormat = weightFormat
      self.queries = queries
      self.batch = batch
      self.reservesMemory = reservesMemory
    }
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    public var rows: Int
    public var dim: Int
    public var optimizer: String
    /// Nil, and so are the times of the passes, if others asked for passes.
    public var distribution: String?
    public var weights: String
    public var queries: Int
    public var batch: Int
    public var reserved: Bool
    public var gather_ns: Double?
    public var update_ns: Double?
    public var insert_ns: Double
    public var p9999_insert_batch_ms: Double
    public var max_insert_batch_ms: Double
    /// Until housekeeping had nothing left to do after the last insertion.
    public var settle_s: Double
    public var bytes_per_row: Double
    public var stride_bytes: Int
    public var load_factor: Double
    public var mean_probes: Double
    /// Resident memory with all rows, and its share after 90 % of them expired, and at most while they came back.
    public var resident_bytes: Int
    public var resident_after_expiry: Double
    public var resident_after_return: Double
    public var expire_ns: Double
    public var max_sweep_ms: Double
  }

  /// Rows of one insertion; the slowest is reported.
  private static let insertBatch = 256
  private static let startMinutes: UInt32 = 29_000_000

  private let settings: Settings
  private let table: EmbeddingTable
  private let fids: [Fid]
  /// Of `settings.batch` rows.
  private let gradients: [Float]

  public init(_ settings: Settings) {
    self.settings = settings
    fids = (0..<settings.rows).map { Hashing.mix(UInt64($0) + 1) }
    gradients = (0..<max(settings.batch, Self.insertBatch) * settings.dimension).map { _ in 0.001 }
    table = EmbeddingTable(
      layout: TableLayout(
        name: "bench", width: settings.dimension, weightFormat: settings.weightFormat,
        optimizer: Self.optimizer(settings.optimizer), gradientRules: .none,
        initializer: .uniform(bound: 0.01, columns: settings.dimension, seed: 1), admission: .everything,
        expiry: Expiry(timeToLiveMinutes: 60, maximumRows: nil)),
      feeds: 1)
  }

  /// One pass of each operation, with the distribution of the settings, between growth and expiry.
  public func run() -> Report {
    var gatherTime = 0.0
    var updateTime = 0.0
    var report = run(over: [settings.distribution]) { time in
      gatherTime = time(Pass(.gather, settings.distribution))
      updateTime = time(Pass(.update, settings.distribution))
    }
    report.distribution = settings.distribution.rawValue
    report.gather_ns = gatherTime
    report.update_ns = updateTime
    return report
  }

  /// - Parameters:
  ///   - distributions: Those that passes may be of.
  ///   - ask: Called between growth and expiry with what carries out a pass and returns its nanoseconds a fid.
  /// - Throws: What `ask` throws.
  public func run(
    over distributions: [Distribution] = Distribution.allCases, asking ask: (_ time: (Pass) -> Double) throws -> Void
  ) rethrows -> Report {
    let queries = Dictionary(uniqueKeysWithValues: distributions.map { ($0, self.queries($0)) })
    let before = ProcessMemory.residentBytes
    // The arrays that the index goes through on its way take some 90 bytes a row: one that it has left does not come back. Once
    // the reserve is used up, pages are touched in the background, here on the only processor, in the middle of an update.
    if settings.reservesMemory { TableMemory.reserve(bytes: fids.count * (table.layout.strideBytes + 128) + 64 << 20) }
    let growth = insert(fids, minutes: Self.startMinutes)
    TableMemory.releaseReserve()
    let settling = settle()
    let resident = ProcessMemory.residentBytes - before
    let occupancy = table.occupancy()

    try ask { time($0.operation, queries[$0.distribution]!) }

    let expiry = expire()
    let afterExpiry = ProcessMemory.residentBytes - before
    let back = insert(Array(fids[..<(fids.count / 10 * 9)]), minutes: Self.startMinutes + 100)
    let afterReturn = max(back.peakResident, ProcessMemory.residentBytes) - before
    return Report(
      rows: settings.rows, dim: settings.dimension, optimizer: settings.optimizer.rawValue, distribution: nil,
      weights: settings.weightFormat.rawValue, queries: settings.queries, batch: settings.batch,
      reserved: settings.reservesMemory, gather_ns: nil, update_ns: nil,
      insert_ns: growth.seconds / Double(fids.count) * 1e9, p9999_insert_batch_ms: growth.p9999 * 1e3,
      max_insert_batch_ms: growth.slowest * 1e3,
      settle_s: settling, bytes_per_row: Double(resident) / Double(fids.count), stride_bytes: occupancy.strideBytes,
      load_factor: occupancy.loadFactor, mean_probes: occupancy.meanProbes, resident_bytes: resident,
      resident_after_expiry: Double(afterExpiry) / Double(resident),
      resident_after_return: Double(afterReturn) / Double(resident),
      expire_ns: expiry.seconds / Double(fids.count / 10 * 9) * 1e9, max_sweep_ms: expiry.slowest * 1e3)
  }

  private struct Growth {
    var seconds: Double
    var p9999: Double
    var slowest: Double
    var peakResident: Int
  }

  /// Updates fids that have no row, in small batches.
  private func insert(_ fids: [Fid], minutes: UInt32) -> Growth {
    var times: [Double] = []
    times.reserveCapacity(fids.count / Self.insertBatch + 1)
    var peak = 0
    fids.withUnsafeBufferPointer { fids in
      for first in stride(from: 0, to: fids.count, by: Self.insertBatch) {
        let batch = UnsafeBufferPointer(rebasing: fids[first..<min(first + Self.insertBatch, fids.count)])
        times.append(seconds { table.update(batch, gradients: gradients, minutes: minutes) })
        if times.count % 4096 == 0 {
          peak = max(peak, ProcessMemory.residentBytes)
          // As sync would.
          _ = table.takeRemoved(feed: 0)
        }
      }
    }
    let total = times.reduce(0, +)
    times.sort()
    return Growth(
      seconds: total, p9999: times[min(times.count - 1, times.count * 9_999 / 10_000)], slowest: times.last ?? 0,
      peakResident: peak)
  }

  /// Lets the table's housekeeping finish, as it does where updates come over a network.
  private func settle() -> Double {
    let deadline = ContinuousClock.now + .seconds(60)
    return seconds {
      while table.maintain() && ContinuousClock.now < deadline { usleep(200) }
    }
  }

  private func queries(_ distribution: Distribution) -> [Fid] {
    var generator = SeededGenerator(seed: 42)
    let zipf = ZipfSampler(count: fids.count, exponent: 0.99)
    // Frequent fids lie scattered over the table, not side by side at its start.
    let spread = 2_654_435_761 % fids.count
    return (0..<settings.queries).map { _ in
      switch distribution {
      case .uniform: fids[Int(generator.next() % UInt64(fids.count))]
      case .zipf: fids[(zipf.next(using: &generator) * spread + 7) % fids.count]
      }
    }
  }

  /// Nanoseconds a fid, once an eighth of the queries have filled the caches.
  private func time(_ operation: Operation, _ queries: [Fid]) -> Double {
    let warmUp = queries.prefix(queries.count / 8)
    let seconds: Double
    switch operation {
    case .gather:
      _ = gather(warmUp)
      seconds = gather(queries[...])
    case .update:
      _ = update(warmUp)
      seconds = update(queries[...])
    }
    return seconds / Double(queries.count) * 1e9
  }

  private func gather(_ queries: ArraySlice<Fid>) -> Double {
    var output = [Float](repeating: 0, count: settings.batch * settings.dimension)
    return queries.withUnsafeBufferPointer { queries in
      output.withUnsafeMutableBufferPointer { output in
        seconds {
          for first in stride(from: 0, to: queries.count, by: settings.batch) {
            let batch = UnsafeBufferPointer(rebasing: queries[first..<min(first + settings.batch, queries.count)])
            table.gather(batch, into: output.baseAddress!)
          }
        }
      }
    }
  }

  private func update(_ queries: ArraySlice<Fid>) -> Double {
    queries.withUnsafeBufferPointer { queries in
      seconds {
        for first in stride(from: 0, to: queries.count, by: settings.batch) {
          let batch = UnsafeBufferPointer(rebasing: queries[first..<min(first + settings.batch, queries.count)])
          table.update(batch, gradients: gradients, minutes: Self.startMinutes)
        }
      }
    }
  }

  /// Touches a tenth of the rows an hour and a half later, so that the others expire, and sweeps until they are gone.
  private func expire() -> (seconds: Double, slowest: Double) {
    let kept = Array(fids[(fids.count / 10 * 9)...])
    kept.withUnsafeBufferPointer { kept in
      for first in stride(from: 0, to: kept.count, by: Self.insertBatch) {
        let batch = UnsafeBufferPointer(rebasing: kept[first..<min(first + Self.insertBatch, kept.count)])
        table.update(batch, gradients: gradients, minutes: Self.startMinutes + 90)
      }
    }
    var total = 0.0
    var slowest = 0.0
    var calls = 0
    var isDone = false
    while !isDone {
      let time = seconds { isDone = table.sweepExpired() }
      total += time
      slowest = max(slowest, time)
      calls += 1
      if calls % 64 == 0 { _ = table.takeRemoved(feed: 0) }
    }
    _ = table.takeRemoved(feed: 0)
    return (total, slowest)
  }

  private func seconds(_ body: () -> Void) -> Double {
    let start = ContinuousClock.now
    body()
    return (ContinuousClock.now - start) / .seconds(1)
  }

  private static func optimizer(_ kind: Kind) -> Optimizer {
    switch kind {
    case .sgd: .sgd(SGD(learningRate: 0.05))
    case .momentum: .momentum(Momentum(learningRate: 0.05, momentum: 0.9))
    case .adagrad: .adagrad(Adagrad(learningRate: 0.05, initialAccumulator: 0.1, epsilon: 1e-8))
    case .rmsprop: .rmsProp(RMSProp(learningRate: 0.001, decay: 0.9, epsilon: 1e-8))
    case .adam: .adam(Adam(learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8))
    case .ftrl: .ftrl(FTRL(learningRate: 0.05, beta: 1, l1: 0, l2: 0))
    }
  }
}
