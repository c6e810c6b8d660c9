/// The lines of `freshet up`'s live view: one for each process.
struct LiveTable {
  enum Tone: Equatable {
    case plain
    case heading
    case good
    case warning
    case bad
  }

  struct Line: Equatable {
    let text: String
    let tone: Tone
  }

  struct Process {
    let name: String
    let state: SupervisorBoard.State
    /// What it said last in this life; nil if it has not said anything, or has no port to be asked at.
    let figures: RoleFigures?
    let hasPort: Bool
    /// Of its work, in one second.
    let rate: Double?
  }

  static let head = ["PROCESS", "STATE", "PID", "RESTARTS", "UPTIME", "MEMORY", "RATE", "LAG", "AUC", "FRESHNESS", ""]

  /// - Parameters:
  ///   - width: Of the terminal: longer lines are cut, since a line that wraps is two.
  ///   - height: Likewise; what has no room is counted in the last line.
  static func lines(title: String, _ processes: [Process], width: Int, height: Int) -> [Line] {
    let rows = processes.map(row)
    let table = TextTable.lines(head: head, rows: rows.map(\.cells), alignRight: [2, 3, 4, 5, 6, 7, 8, 9])
    var lines = [Line(text: title, tone: .plain), Line(text: table[0], tone: .heading)]
    lines += zip(table.dropFirst(), rows).map { Line(text: $0, tone: $1.tone) }
    let room = max(3, height - 1)
    if lines.count > room {
      let hidden = lines.count - room + 1
      lines = Array(lines.prefix(room - 1)) + [Line(text: "… and \(hidden) more", tone: .plain)]
    }
    return lines.map { Line(text: String($0.text.prefix(max(1, width - 1))), tone: $0.tone) }
  }

  private static func row(_ process: Process) -> (cells: [String], tone: Tone) {
    let figures = process.figures
    var note = figures?.note ?? ""
    var (state, pid, tone) = ("", "-", Tone.good)
    switch process.state.phase {
    case .notStarted: (state, tone) = ("starting", .warning)
    case .running(let number):
      pid = "\(number)"
      if figures == nil, process.hasPort {
        (state, tone) = (process.state.restarts > 0 ? "restarting" : "starting", .warning)
      } else {
        (state, tone) = ("running", note.isEmpty ? .good : .warning)
      }
    case .waiting(let reason):
      (state, tone) = ("restarting", .bad)
      note = "ended with \(reason)"
    case .stopping(let number): (state, pid, tone) = ("stopping", "\(number)", .warning)
    case .ended: (state, tone) = ("ended", .plain)
    }
    let rate = process.rate.map { "\(RoleFigures.count($0)) \(figures?.workUnit ?? "")/s" } ?? "-"
    let freshness =
      figures?.freshnessP50Ms == nil
      ? "-"
      : RoleFigures.duration(ms: figures?.freshnessP50Ms) + " / " + RoleFigures.duration(ms: figures?.freshnessP99Ms)
    return (
      [
        process.name, state, pid, "\(process.state.restarts)", RoleFigures.duration(seconds: figures?.uptimeSeconds),
        RoleFigures.bytes(figures?.residentBytes), rate, RoleFigures.count(figures?.lag.map(Double.init)),
        RoleFigures.score(figures?.auc), freshness, note,
      ], tone
    )
  }
}
