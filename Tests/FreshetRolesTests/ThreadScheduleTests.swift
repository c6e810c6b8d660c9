import CIntrinsics
import Foundation
import Testing

@testable import FreshetRoles

@Suite struct ThreadScheduleTests {
  @Test func aThreadThatAnswersHasShortTurnsAndTheOthersAsBefore() {
    let here = fi_time_slice()
    let (before, after) = onAThread { () -> (UInt64, UInt64) in
      let before = fi_time_slice()
      ThreadSchedule.answerPromptly()
      return (before, fi_time_slice())
    }
    #expect(after == (before == 0 ? 0 : ThreadSchedule.promptSliceNanoseconds), "0 is what kernels before 6.12 say")
    #expect(fi_time_slice() == here)
  }

  @Test func aThreadInTheBackgroundIsABatchJob() {
    let policies = onAThread { () -> [Int32] in
      let before = sched_getscheduler(0)
      ThreadSchedule.giveWay()
      return [before, sched_getscheduler(0)]
    }
    #expect(policies == [SCHED_OTHER, 3])
  }

  private func onAThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) -> Result {
    nonisolated(unsafe) var result: Result?
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      result = body()
      done.signal()
    }
    done.wait()
    return result!
  }
}
