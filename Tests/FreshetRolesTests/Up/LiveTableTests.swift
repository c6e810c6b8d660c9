import Foundation
import Testing

@testable import FreshetRoles

@Suite struct LiveTableTests {
  private static let trainer = """
    # server\r
    uptime_in_seconds:150\r
    resident_bytes:62914560\r
    \r
    # training\r
    examples:5000\r
    # lag\r
    examples_0:40000\r
    examples_1:2000\r
    # freshness\r
    recent_count:3\r
    recent_p50_ms:90\r
    recent_p99_ms:1500\r
    # guard\r
    held:0\r
    # validation\r
    task0_auc:0.76821\r
    task0_recent_auc:0.75\r

    """

  @Test func figuresComeFromTheSectionsOfInfo() {
    let figures = RoleFigures(role: "trainer", info: Self.trainer)
    #expect(figures.uptimeSeconds == 150 && figures.residentBytes == 60 << 20)
    #expect(figures.work == 5000 && figures.workUnit == "examples" && figures.lag == 42_000)
    #expect(figures.auc == 0.76821 && figures.recentAUC == 0.75 && figures.note.isEmpty)
    #expect(figures.freshnessP50Ms == 90 && figures.freshnessP99Ms == 1_500)
    let held = Self.trainer.replacing("held:0\r\n", with: "held:1\r\nreason:logloss\r\n")
    #expect(RoleFigures(role: "trainer", info: held).note == "HELD: logloss")
    let joiner = RoleFigures(role: "joiner", info: "# join\r\nfeatures:3\r\nactions:4\r\n")
    #expect(joiner.work == 7 && joiner.lag == nil && joiner.uptimeSeconds == nil)
    #expect(RoleFigures(role: "serve", info: "# server\r\nwaits_for:a: b\r\n").note == "a: b")
  }

  @Test func numbersAreShort() {
    #expect(RoleFigures.count(nil) == "-" && RoleFigures.count(9_999) == "9999" && RoleFigures.count(42_400) == "42k")
    #expect(RoleFigures.count(1_250_000) == "1.3M")
    #expect(RoleFigures.duration(ms: 90.4) == "90 ms" && RoleFigures.duration(ms: 1_500) == "1.5 s")
    #expect(RoleFigures.duration(seconds: 119) == "119 s" && RoleFigures.duration(seconds: 7_199) == "119 min")
    #expect(RoleFigures.score(0.76821) == "0.7682" && RoleFigures.score(0.05) == "0.0500")
  }

  private static func process(
    _ name: String, _ phase: SupervisorBoard.State.Phase, restarts: Int = 0, _ info: String? = nil, rate: Double? = nil
  ) -> LiveTable.Process {
    LiveTable.Process(
      name: name, state: SupervisorBoard.State(phase: phase, restarts: restarts),
      figures: info.map { RoleFigures(role: "trainer", info: $0) }, hasPort: true, rate: rate)
  }

  private static let processes = [
    process("ps-0", .running(pid: 17)), process("trainer-0", .running(pid: 18), Self.trainer, rate: 512.4),
    process("trainer-1", .waiting("signal 9"), restarts: 2), process("serve-0", .running(pid: 20), restarts: 1),
    process("serve-1", .stopping(pid: 21)),
  ]

  @Test func eachProcessIsALine() {
    let lines = LiveTable.lines(title: "title", Self.processes, width: 200, height: 50)
    // Columns are as wide as they must be.
    #expect(
      lines.map(\.text) == [
        "title",
        "PROCESS    STATE       PID  RESTARTS  UPTIME  MEMORY            RATE  LAG     AUC      FRESHNESS",
        "ps-0       starting     17         0       -       -               -    -       -              -",
        "trainer-0  running      18         0   2 min   60 MB  512 examples/s  42k  0.7682  90 ms / 1.5 s",
        "trainer-1  restarting    -         2       -       -               -    -       -              -  ended with signal 9",
        "serve-0    restarting   20         1       -       -               -    -       -              -",
        "serve-1    stopping     21         0       -       -               -    -       -              -",
      ])
    #expect(lines.map(\.tone) == [.plain, .heading, .warning, .good, .bad, .warning, .warning])
  }

  @Test func aSmallTerminalCutsLinesAndSaysHowManyAreMissing() {
    let lines = LiveTable.lines(title: "title", Self.processes, width: 20, height: 6)
    #expect(lines.count == 5 && lines.allSatisfy { $0.text.count <= 19 })
    #expect(lines.last?.text == "… and 3 more")
    #expect(LiveTable.lines(title: "title", Self.processes, width: 1, height: 1).count == 3)
  }

  /// What a terminal shows after some frames.
  @Test func aCanvasDrawsInPlaceAndLeavesTheTerminalAsItWas() throws {
    let pipe = Pipe()
    let canvas = TerminalCanvas(output: pipe.fileHandleForWriting, usesColor: true)
    canvas.draw([LiveTable.Line(text: "one", tone: .good), LiveTable.Line(text: "two", tone: .plain)])
    canvas.draw([LiveTable.Line(text: "three", tone: .bad)])
    canvas.end()
    canvas.end()
    try pipe.fileHandleForWriting.close()
    let written = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    #expect(
      written == "\u{1B}[?25l\r\u{1B}[32mone\u{1B}[0m\u{1B}[K\n\rtwo\u{1B}[K\n\u{1B}[J"
        + "\u{1B}[2A\r\u{1B}[31mthree\u{1B}[0m\u{1B}[K\n\u{1B}[J\u{1B}[?25h")
  }

  @Test func withoutColoursThereAreNone() throws {
    let pipe = Pipe()
    let canvas = TerminalCanvas(output: pipe.fileHandleForWriting, usesColor: false)
    canvas.draw([LiveTable.Line(text: "one", tone: .bad)])
    canvas.end()
    try pipe.fileHandleForWriting.close()
    let written = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    #expect(!written.contains("m") && written.contains("one"))
  }
}
