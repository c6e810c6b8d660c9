import CIntrinsics
import FreshetCore
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Keeps the one writer of a replica's copy out while any of many readers is inside, and the readers out while it writes.
///
/// Each reader has a word on cache lines of its own: it enters by storing 1 there and looking whether the writer is about,
/// so readers never write what others write, and never wait for each other. The writer says that it is about and then waits
/// for every reader to be out.
///
/// The writer is polite: if some reader stays inside for `patienceMicroseconds` (its thread may have lost its core, for
/// milliseconds), it withdraws, so that the others need not wait as well, and tries again later. Only after
/// `insistAfterMilliseconds` does it stay, so that it comes to its turn in any case.
final class ReplicaGate: @unchecked Sendable {
  // Sendable holds because the words are atomic and the memory lives as long as the gate.

  static let capacity = 128
  static let patienceMicroseconds = 20.0
  static let firstPauseMicroseconds: UInt32 = 20
  static let longestPauseMicroseconds: UInt32 = 320
  static let insistAfterMilliseconds = 20.0
  /// Looks at a word before the thread offers its core to others.
  private static let spins = 256

  /// Each word has 128 bytes to itself: processors fetch cache lines in pairs.
  private static let stride = 32
  private static let wordCount = (capacity + 1) * stride

  /// The writer's word first, then the readers'; those between are never touched.
  private let words: UnsafeMutablePointer<Atomic<UInt32>>
  private let readers = Atomic<Int>(0)

  init() {
    words = UnsafeMutableRawPointer.allocate(byteCount: Self.wordCount * 4, alignment: Self.stride * 4)
      .bindMemory(to: Atomic<UInt32>.self, capacity: Self.wordCount)
    for word in 0..<Self.wordCount { (words + word).initialize(to: Atomic(0)) }
  }

  deinit {
    words.deinitialize(count: Self.wordCount)
    UnsafeMutableRawPointer(words).deallocate()
  }

  // MARK: - Readers

  /// - Returns: A number for `enter` and `leave`; each is for one thread at a time.
  /// - Precondition: There are fewer than `capacity` readers.
  func addReader() -> Int {
    let number = readers.add(1, ordering: .sequentiallyConsistent).newValue
    precondition(number <= Self.capacity, "a replica has at most \(Self.capacity) readers")
    return number
  }

  /// - Precondition: The reader is outside.
  @inline(__always)
  func enter(_ reader: Int) {
    words[reader &* Self.stride].store(1, ordering: .sequentiallyConsistent)
    if _slowPath(words[0].load(ordering: .sequentiallyConsistent) != 0) { wait(reader) }
  }

  @inline(__always)
  func leave(_ reader: Int) { words[reader &* Self.stride].store(0, ordering: .releasing) }

  @inline(never)
  private func wait(_ reader: Int) {
    repeat {
      words[reader &* Self.stride].store(0, ordering: .releasing)
      var looks = 0
      while words[0].load(ordering: .relaxed) != 0 {
        looks &+= 1
        // The writer may be waiting for this core.
        if looks % Self.spins == 0 { sched_yield() } else { fi_pause() }
      }
      words[reader &* Self.stride].store(1, ordering: .sequentiallyConsistent)
    } while words[0].load(ordering: .sequentiallyConsistent) != 0
  }

  // MARK: - The writer

  /// Runs `body` while no reader is inside. One thread at a time may call this.
  @inline(__always)
  func write<Result: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    close()
    defer { words[0].store(0, ordering: .releasing) }
    return try body()
  }

  private func close() {
    words[0].store(1, ordering: .sequentiallyConsistent)
    if _fastPath(isEmpty) { return }
    let start = Instant.now()
    var pause = Self.firstPauseMicroseconds
    var attempt = start
    while true {
      var looks = 0
      while !isEmpty {
        looks &+= 1
        fi_pause()
        guard looks % 32 == 0 else { continue }
        let now = Instant.now()
        if now.milliseconds(since: start) >= Self.insistAfterMilliseconds {
          sched_yield()
        } else if now.milliseconds(since: attempt) * 1000 >= Self.patienceMicroseconds {
          break
        }
      }
      if isEmpty { return }
      words[0].store(0, ordering: .releasing)
      usleep(pause)
      pause = min(pause * 2, Self.longestPauseMicroseconds)
      words[0].store(1, ordering: .sequentiallyConsistent)
      attempt = Instant.now()
    }
  }

  /// Whether every reader is outside.
  private var isEmpty: Bool {
    let count = readers.load(ordering: .sequentiallyConsistent)
    var reader = 1
    while reader <= count {
      if words[reader &* Self.stride].load(ordering: .sequentiallyConsistent) != 0 { return false }
      reader &+= 1
    }
    return true
  }
}
