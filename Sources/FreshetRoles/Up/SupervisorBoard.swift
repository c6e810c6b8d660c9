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

  public init() {}

  /// Counts changes.
  var version: Int { changes.load(ordering: .acquiring) }

  func state(of child: String) -> State { states.withLock { $0[child] ?? State() } }

  func update(_ child: String, _ body: (inout State) -> Void) {
    states.withLock { body(&$0[child, default: State()]) }
    changes.add(1, ordering: .releasing)
  }
}
