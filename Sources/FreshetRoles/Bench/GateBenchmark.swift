import FreshetCluster
import FreshetCore
import FreshetModel
import Synchronization

/// `freshet bench gate`: what a reader pays for reading rows that another thread changes, in three ways.
public struct GateBenchmark {
  public struct Settings: Sendable {
    /// Rows that are read at random.
    public var rows: Int
    /// Weights of a row.
    public var dimension: Int
    /// Threads that read at the same time.
    public var threads: Int
    /// Readings of each thread.
    public var reads: Int
    /// Rows of one reading.
    public var rowsPerRead: Int

    public init(rows: Int, dimension: Int, threads: Int, reads: Int, rowsPerRead: Int) {
      self.rows = rows
      self.dimension = dimension
      self.threads = threads
      self.reads = reads
      self.rowsPerRead = rowsPerRead
    }
  }

  /// Fields as `--json` prints them. Nanoseconds of one reading of `rows_per_read` rows.
  public struct Report: Codable, Sendable {
    public var rows: Int
    public var dim: Int
    public var threads: Int
    public var reads: Int
    public var rows_per_read: Int
    /// Nothing keeps a writer away.
    public var bare_ns: Double
    /// Inside `ReplicaReader.read`.
    public var gate_ns: Double
    /// Under one mutex for all threads.
    public var mutex_ns: Double
    /// Each row copied between two looks at its version, word by word with atomic loads, since a writer may be at it.
    public var seqlock_ns: Double
  }

  private let settings: Settings

  public init(_ settings: Settings) { self.settings = settings }

  public func run() throws(ClusterError) -> Report {
    let tables = try ModelTables(.movieLens)
    let replica = Replica(
      tables: tables, map: ShardMap(shardCount: 1, serverCount: 1), weightFormat: .float32, compressor: NoCompressor(),
      seed: 1)
    let readers = replica.readers
    let memory = VersionedRows(count: settings.rows, width: settings.dimension)
    let mutex = Mutex(0)
    return Report(
      rows: settings.rows, dim: settings.dimension, threads: settings.threads, reads: settings.reads,
      rows_per_read: settings.rowsPerRead,
      bare_ns: time { rows, output in memory.copy(rows, into: output) },
      gate_ns: time(with: { readers.makeReader() }) { reader, rows, output in
        reader.read { _ in memory.copy(rows, into: output) }
      },
      mutex_ns: time { rows, output in mutex.withLock { _ in memory.copy(rows, into: output) } },
      seqlock_ns: time { rows, output in memory.copyChecked(rows, into: output) })
  }

  private func time(
    _ read: @escaping @Sendable (UnsafeBufferPointer<Int>, UnsafeMutablePointer<UInt32>) -> Void
  ) -> Double {
    time(with: {}) { _, rows, output in read(rows, output) }
  }

  /// - Returns: Nanoseconds of one reading, the mean of all threads.
  private func time<State>(
    with makeState: @escaping @Sendable () -> State,
    _ read: @escaping @Sendable (State, UnsafeBufferPointer<Int>, UnsafeMutablePointer<UInt32>) -> Void
  ) -> Double {
    let settings = settings
    let waiting = Atomic<Int>(settings.threads)
    let total = Atomic<UInt64>(0)
    let threads = BenchThreads()
    for number in 0..<settings.threads {
      threads.start {
        let state = makeState()
        var random = SeededGenerator(seed: UInt64(number))
        let rows = (0..<settings.rowsPerRead * 4096).map { _ in Int.random(in: 0..<settings.rows, using: &random) }
        let output = UnsafeMutablePointer<UInt32>.allocate(capacity: settings.rowsPerRead * settings.dimension)
        defer { output.deallocate() }
        waiting.subtract(1, ordering: .acquiringAndReleasing)
        while waiting.load(ordering: .acquiring) > 0 {}
        let start = Instant.now()
        rows.withUnsafeBufferPointer { rows in
          for number in 0..<settings.reads {
            let first = (number & 4095) * settings.rowsPerRead
            read(state, UnsafeBufferPointer(rebasing: rows[first..<first + settings.rowsPerRead]), output)
          }
        }
        total.add(Instant.now().nanoseconds - start.nanoseconds, ordering: .relaxed)
      }
    }
    threads.join()
    return Double(total.load(ordering: .relaxed)) / Double(settings.threads * settings.reads)
  }
}

/// Rows with a version each, as a seqlock has them. Nobody writes, so plain copies are right as well.
// Sendable holds because the memory is only read once it is made.
private final class VersionedRows: @unchecked Sendable {
  private let words: UnsafeMutablePointer<UInt32>
  private let stride: Int
  private let width: Int

  init(count: Int, width: Int) {
    self.width = width
    stride = width + 1
    words = .allocate(capacity: count * stride)
    words.initialize(repeating: 0, count: count * stride)
  }

  deinit { words.deallocate() }

  func copy(_ rows: UnsafeBufferPointer<Int>, into output: UnsafeMutablePointer<UInt32>) {
    for (position, row) in rows.enumerated() {
      (output + position &* width).update(from: words + row &* stride + 1, count: width)
    }
  }

  func copyChecked(_ rows: UnsafeBufferPointer<Int>, into output: UnsafeMutablePointer<UInt32>) {
    for (position, row) in rows.enumerated() {
      let start = UnsafeMutableRawPointer(words + row &* stride)
      let atomic = start.assumingMemoryBound(to: Atomic<UInt32>.self)
      let target = output + position &* width
      while true {
        let version = atomic[0].load(ordering: .acquiring)
        for word in 0..<width { target[word] = atomic[word &+ 1].load(ordering: .relaxed) }
        atomicMemoryFence(ordering: .acquiring)
        if version & 1 == 0, atomic[0].load(ordering: .relaxed) == version { break }
      }
    }
  }
}
