import FreshetCore

/// Which server dies when, and to which snapshot it goes back: a function of the seed.
///
/// Servers die at the beginning of an hour of event time, each with the same probability at each hour, and independently of each
/// other. Snapshots are taken at marks of event time. What happens while the log is empty happens before its next example.
struct FailureSchedule {
  struct Failure: Equatable {
    var server: Int
    /// Position in the log's windows: it dies before this one is learned.
    var window: Int
    /// It goes back to what it was before this one was learned; before the first mark, to nothing.
    var snapshotWindow: Int?
  }

  /// In the order of windows, then of servers.
  let failures: [Failure]

  /// - Parameters:
  ///   - hours: The log in windows of an hour.
  ///   - failuresPerDay: Of each server, in `0...24`.
  ///   - snapshotHours: From one mark to the next.
  init(hours: EventWindows, servers: Int, failuresPerDay: Double, snapshotHours: Int64, seed: UInt64) {
    precondition(hours.lengthMs == 3_600_000 && (0...24).contains(failuresPerDay) && snapshotHours > 0)
    var failures: [Failure] = []
    var random = SeededGenerator(seed: seed)
    let windows = hours.windows
    guard let first = windows.first?.number, let last = windows.last?.number else {
      self.failures = []
      return
    }
    var window = 0
    for hour in first...last {
      while windows[window].number < hour { window += 1 }
      let mark = hour / snapshotHours * snapshotHours
      var snapshot = window
      while snapshot > 0, windows[snapshot - 1].number >= mark { snapshot -= 1 }
      for server in 0..<servers where random.nextUnit() < failuresPerDay / 24 {
        // Twice before the same example is once, and the first time counts.
        if failures.reversed().prefix(while: { $0.window == window }).contains(where: { $0.server == server }) {
          continue
        }
        failures.append(Failure(server: server, window: window, snapshotWindow: mark > first ? snapshot : nil))
      }
    }
    self.failures = failures.sorted { ($0.window, $0.server) < ($1.window, $1.server) }
  }
}
