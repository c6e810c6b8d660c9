import Dispatch
import Foundation

/// Threads that a benchmark starts and waits for.
struct BenchThreads {
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
