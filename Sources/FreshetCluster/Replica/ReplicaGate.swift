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
/// Each reader has a word on cache lines of its own: it enters by storing `inside` there and looking whether the gate is
/// closed, so readers never write what others write, and never wait for each other. The writer closes the gate and then waits
/// until every reader is out (Dekker's algorithm, hence the sequentially consistent stores and loads).
///
/// The writer is polite. A reader may have lost its core inside: if the writer has waited for `patienceMicroseconds`, it opens
/// the gate again, so that the other readers need not wait as well, and comes back later; only after
/// `insistAfterMilliseconds` does it stay, so that it comes to its turn in any case. And before it closes the gate it lets
/// those in who waited for it the last time, so that a long row of writes does not shut them out.
// Sendable holds because the words are atomic and their memory lives as long as the gate.
final class ReplicaGate: @unchecked Sendable {
  static let capacity = 128
  static let patienceMicroseconds = 20.0
  static let firstPauseMicroseconds: UInt32 = 20
  static let longestPauseMicroseconds: UInt32 = 320
  /// How long the writer lets those in who wait: some of them have to be woken.
  private static let courtesyMicroseconds = 100.0
  /// Looks at the gate before a reader sleeps, some microseconds: the writer may need this very core.
  private static let spins = 128

  // Of the gate.
  private static let open: UInt32 = 0
  private static let closed: UInt32 = 1
  /// Closed, and some reader sleeps until it opens.
  private static let closedBeforeSleepers: UInt32 = 2
  // Of a reader.
  private static let outside: UInt32 = 0
  private static let inside: UInt32 = 1
  private static let waiting: UInt32 = 2

  /// Each word has 128 bytes to itself: processors fetch cache lines in pairs.
  private static let stride = 32
  private static let wordCount = (capacity + 1) * stride

  /// The gate's word first, then the readers'; those between are never touched.
  private let words: UnsafeMutablePointer<Atomic<UInt32>>
  private let readers = Atomic<Int>(0)

  private let insistAfterMilliseconds: Double

  /// - Parameter insistAfterMilliseconds: How long the writer gives way, at most, to readers that do not leave.
  init(insistAfterMilliseconds: Double) {
    self.insistAfterMilliseconds = insistAfterMilliseconds
    words = UnsafeMutableRawPointer.allocate(byteCount: Self.wordCount * 4, alignment: Self.stride * 4)
      .bindMemory(to: Atomic<UInt32>.self, capacity: Self.wordCount)
    for word in 0..<Self.wordCount { (words + word).initialize(to: Atomic(0)) }
  }

  deinit {
    words.deinitialize(count: Self.wordCount)
    UnsafeMutableRawPointer(words).deallocate()
  }

  // MARK: - Readers

  /// - Returns: A number for `enter` and `leave`, to be used by one thread at a time.
  /// - Precondition: There are fewer than `capacity` readers.
  func addReader() -> Int {
    let number = readers.add(1, ordering: .sequentiallyConsistent).newValue
    precondition(number <= Self.capacity, "a replica has at most \(Self.capacity) readers")
    return number
  }

  /// - Precondition: The reader is outside.
  @inline(__always)
  func enter(_ reader: Int) {
    words[reader &* Self.stride].store(Self.inside, ordering: .sequentiallyConsistent)
    if _slowPath(words[0].load(ordering: .sequentiallyConsistent) != Self.open) { enterLater(reader) }
  }

  @inline(__always)
  func leave(_ reader: Int) { words[reader &* Self.stride].store(Self.outside, ordering: .releasing) }

  @inline(never)
  private func enterLater(_ reader: Int) {
    repeat {
      words[reader &* Self.stride].store(Self.waiting, ordering: .sequentiallyConsistent)
      waitUntilOpen()
      words[reader &* Self.stride].store(Self.inside, ordering: .sequentiallyConsistent)
    } while words[0].load(ordering: .sequentiallyConsistent) != Self.open
  }

  private func waitUntilOpen() {
    for _ in 0..<Self.spins {
      if words[0].load(ordering: .relaxed) == Self.open { return }
      fi_pause()
    }
    while true {
      let (_, state) = words[0].compareExchange(
        expected: Self.closed, desired: Self.closedBeforeSleepers, ordering: .acquiringAndReleasing)
      if state == Self.open { return }
      fi_wait_while_equal(words, Self.closedBeforeSleepers)
    }
  }

  // MARK: - The writer

  /// Runs `body` while no reader is inside. One thread at a time may call this.
  @inline(__always)
  func write<Result: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    close()
    defer { open() }
    return try body()
  }

  private func close() {
    if _slowPath(isAnyone(Self.waiting)) { letIn() }
    words[0].store(Self.closed, ordering: .sequentiallyConsistent)
    if _slowPath(isAnyone(Self.inside)) { waitUntilEmpty() }
  }

  private func open() {
    if _slowPath(words[0].exchange(Self.open, ordering: .sequentiallyConsistent) == Self.closedBeforeSleepers) {
      fi_wake_all(words)
    }
  }

  private func letIn() {
    let start = Instant.now()
    repeat { fi_pause() } while isAnyone(Self.waiting) && !hasPassed(Self.courtesyMicroseconds, since: start)
  }

  private func waitUntilEmpty() {
    let start = Instant.now()
    var attempt = start
    var pause = Self.firstPauseMicroseconds
    while isAnyone(Self.inside) {
      fi_pause()
      if hasPassed(insistAfterMilliseconds * 1000, since: start) {
        sched_yield()
      } else if hasPassed(Self.patienceMicroseconds, since: attempt) {
        open()
        usleep(pause)
        pause = min(pause * 2, Self.longestPauseMicroseconds)
        words[0].store(Self.closed, ordering: .sequentiallyConsistent)
        attempt = Instant.now()
      }
    }
  }

  private func hasPassed(_ microseconds: Double, since start: Instant) -> Bool {
    Instant.now().milliseconds(since: start) * 1000 >= microseconds
  }

  private func isAnyone(_ state: UInt32) -> Bool {
    let count = readers.load(ordering: .sequentiallyConsistent)
    var reader = 1
    while reader <= count {
      if words[reader &* Self.stride].load(ordering: .sequentiallyConsistent) == state { return true }
      reader &+= 1
    }
    return false
  }
}
