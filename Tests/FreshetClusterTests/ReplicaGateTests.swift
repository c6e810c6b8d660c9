import Dispatch
import Foundation
import FreshetCore
import Synchronization
import Testing

@testable import FreshetCluster

/// Numbers that are all equal whenever nobody is writing them.
// Sendable holds because the gate under test keeps writer and readers apart, or else the test fails.
private final class EqualNumbers: @unchecked Sendable {
  private let numbers = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 32)

  init() { numbers.initialize(repeating: 0) }
  deinit { numbers.deallocate() }

  func set(_ value: UInt64) { for index in numbers.indices { numbers[index] = value } }
  var areEqual: Bool { numbers.allSatisfy { $0 == numbers[0] } }
}

@Suite struct ReplicaGateTests {
  @Test func noReaderIsInsideWhileTheWriterWrites() {
    let gate = ReplicaGate(insistAfterMilliseconds: 20)
    let numbers = EqualNumbers()
    let isOver = Atomic<Bool>(false)
    let reads = Atomic<Int>(0)
    let torn = Atomic<Int>(0)
    let threads = Threads()
    for _ in 0..<3 {
      let reader = gate.addReader()
      threads.start {
        while !isOver.load(ordering: .relaxed) {
          gate.enter(reader)
          if !numbers.areEqual { torn.add(1, ordering: .relaxed) }
          gate.leave(reader)
          reads.add(1, ordering: .relaxed)
        }
      }
    }
    let deadline = Instant.now().advanced(byMs: 20_000)
    var writes: UInt64 = 0
    while (writes < 2_000 || reads.load(ordering: .relaxed) < 2_000) && Instant.now() < deadline {
      writes += 1
      gate.write { numbers.set(writes) }
    }
    isOver.store(true, ordering: .relaxed)
    threads.join()
    let (readCount, tornCount) = (reads.load(ordering: .relaxed), torn.load(ordering: .relaxed))
    #expect(tornCount == 0)
    #expect(writes >= 2_000 && readCount >= 2_000)
  }

  /// A reader that loses its core inside must not make the others wait for as long as it takes to get it back.
  @Test func othersComeAndGoWhileTheWriterWaitsForOne() {
    let gate = ReplicaGate(insistAfterMilliseconds: 60_000)
    let slow = gate.addReader()
    let quick = gate.addReader()
    let hasBegun = Atomic<Bool>(false)
    let hasWritten = Atomic<Bool>(false)
    let threads = Threads()
    gate.enter(slow)
    threads.start {
      hasBegun.store(true, ordering: .releasing)
      gate.write { hasWritten.store(true, ordering: .releasing) }
    }
    wait { hasBegun.load(ordering: .acquiring) }
    for _ in 0..<10_000 {
      gate.enter(quick)
      gate.leave(quick)
    }
    let wroteBeside = hasWritten.load(ordering: .acquiring)
    gate.leave(slow)
    threads.join()
    let wroteAfter = hasWritten.load(ordering: .acquiring)
    #expect(!wroteBeside && wroteAfter)
  }

  /// Two readers who are never out at the same time would keep a writer away that only ever withdraws.
  @Test func theWriterComesToItsTurnAmongReadersThatNeverAllLeave() {
    let gate = ReplicaGate(insistAfterMilliseconds: 5)
    let readers = [gate.addReader(), gate.addReader()]
    // One of the two is inside at any time: each leaves when the other has come.
    let insiders = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
    let threads = Threads()
    for reader in readers {
      threads.start {
        while !isOver.load(ordering: .acquiring) {
          gate.enter(reader)
          insiders.add(1, ordering: .sequentiallyConsistent)
          // The other one may be shut out by the writer that insists.
          let patience = Instant.now().advanced(byMs: 50)
          while insiders.load(ordering: .sequentiallyConsistent) < 2, Instant.now() < patience {}
          insiders.subtract(1, ordering: .sequentiallyConsistent)
          gate.leave(reader)
        }
      }
    }
    wait { insiders.load(ordering: .acquiring) > 0 }
    var writes = 0
    let deadline = Instant.now().advanced(byMs: 20_000)
    while writes < 5, Instant.now() < deadline {
      let others = gate.write { insiders.load(ordering: .sequentiallyConsistent) }
      #expect(others == 0)
      writes += 1
    }
    isOver.store(true, ordering: .releasing)
    threads.join()
    #expect(writes == 5)
  }

  /// The writer comes back at once for its next slice; who waited meanwhile comes first.
  @Test func aReaderIsNotShutOutByALongRowOfWrites() {
    let gate = ReplicaGate(insistAfterMilliseconds: 20)
    let reader = gate.addReader()
    let isOver = Atomic<Bool>(false)
    let writes = Atomic<Int>(0)
    let threads = Threads()
    threads.start {
      while !isOver.load(ordering: .acquiring) {
        gate.write {
          let end = Instant.now().nanoseconds + 200_000
          while Instant.now().nanoseconds < end {}
        }
        writes.add(1, ordering: .relaxed)
      }
    }
    wait { writes.load(ordering: .relaxed) >= 3 }
    // Two or three writes for each reading, if both threads have a core; on a busy machine the reader may wait for one, so it
    // has several goes.
    var fewest = Int.max
    for _ in 0..<5 where fewest >= 50 * 20 {
      let before = writes.load(ordering: .relaxed)
      for _ in 0..<50 {
        // Into the row of writes again.
        let seen = writes.load(ordering: .relaxed)
        wait { writes.load(ordering: .relaxed) != seen }
        gate.enter(reader)
        gate.leave(reader)
      }
      fewest = min(fewest, writes.load(ordering: .relaxed) - before)
    }
    isOver.store(true, ordering: .releasing)
    threads.join()
    #expect(fewest < 50 * 20, "\(fewest) writes in the time of 50 readings")
  }
}

/// Threads that a test starts and waits for.
final class Threads {
  private let group = DispatchGroup()

  func start(_ body: @escaping @Sendable () -> Void) {
    group.enter()
    let thread = Thread { [group] in
      body()
      group.leave()
    }
    thread.start()
  }

  func join() { group.wait() }
}

/// Returns when the condition holds. Fails the test if it does not within 20 s.
private func wait(_ condition: () -> Bool) {
  let deadline = Instant.now().advanced(byMs: 20_000)
  while !condition() {
    guard Instant.now() < deadline else {
      Issue.record("after 20 s still not what the test waits for")
      return
    }
    sched_yield()
  }
}
