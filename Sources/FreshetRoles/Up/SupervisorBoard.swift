import Foundation
import FreshetCore
import Synchronization

/// Where each of a supervisor's processes is: its threads write, displays read.
public final class SupervisorBoard: Sendable {
  struct State: Sendable, Equatable {
    enum Phase: Sendable, Equatable {
      case notStarted
      case running(pid: Int32)
      /// It has ended, for this reason, and is started again soon.
      case waiting(String)
      case stopping(pid: Int32)
      case ended
    }

    var phase = Phase.notStarted
    /// How often it was started again.
    var restarts = 0
  }

  private let states = Mutex<[String: State]>([:])
  private let changes = Atomic<Int>(0)
  private let turns = Mutex((starts: 0, questions: 0))

  public init() {}

  /// Counts changes.
  var version: Int { changes.load(ordering: .acquiring) }

  func state(of child: String) -> State { states.withLock { $0[child] ?? State() } }

  func update(_ child: String, _ body: (inout State) -> Void) {
    states.withLock { body(&$0[child, default: State()]) }
    changes.add(1, ordering: .releasing)
  }

  // MARK: - Turns

  /// Starts a process while no connection is made or closed here: a child inherits what is opened in that moment.
  func whileNobodyAsks<Value>(_ start: () throws -> Value) rethrows -> Value {
    turns.withLock { $0.starts += 1 }
    defer { turns.withLock { $0.starts -= 1 } }
    while turns.withLock({ $0.questions }) > 0 { Thread.sleep(forTimeInterval: 0.002) }
    return try start()
  }

  /// - Returns: False while a process is started; else `endQuestions` is to follow soon.
  func beginQuestions() -> Bool {
    turns.withLock { turns in
      guard turns.starts == 0 else { return false }
      turns.questions += 1
      return true
    }
  }

  func endQuestions() { turns.withLock { $0.questions -= 1 } }
}
