import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct SupervisorBoardTests {
  @Test func whatChangesIsCounted() {
    let board = SupervisorBoard()
    #expect(board.state(of: "ps-0") == SupervisorBoard.State() && board.version == 0)
    board.update("ps-0") { $0.phase = .running(pid: 7) }
    board.update("ps-0") { $0.restarts += 1 }
    #expect(board.state(of: "ps-0") == SupervisorBoard.State(phase: .running(pid: 7), restarts: 1))
    #expect(board.state(of: "ps-1").phase == .notStarted && board.version == 2)
  }

  @Test func aProcessIsStartedOnlyWhileNobodyAsks() async {
    let board = SupervisorBoard()
    #expect(board.beginQuestions() && board.beginQuestions())
    let start = Task.detached { board.whileNobodyAsks { Instant.now() } }
    // Until the start waits: from then on there are no new questions.
    let deadline = Instant.now().advanced(byMs: 10_000)
    while board.beginQuestions() && Instant.now() < deadline {
      board.endQuestions()
      await Task.yield()
    }
    board.endQuestions()
    let last = Instant.now()
    board.endQuestions()
    #expect(await start.value >= last)
    #expect(board.beginQuestions())
  }

  @Test func aStartThatFailsLetsQuestionsThroughAgain() {
    struct Failed: Error {}
    let board = SupervisorBoard()
    #expect(throws: Failed.self) { try board.whileNobodyAsks { throw Failed() } }
    #expect(board.beginQuestions())
  }
}
