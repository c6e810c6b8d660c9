import Foundation
import FreshetCore
import FreshetNet
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// `freshet up` on a terminal: a table of the processes in place of their log lines.
public struct LiveDisplay: Service {
  /// What a process has said, and when.
  private struct Answer: Sendable {
    let pid: Int32
    let figures: RoleFigures
    let at: Instant
    var rate: Double?
  }

  /// By process: one task writes, another reads.
  private final class Answers: Sendable {
    private let values = Mutex<[String: Answer]>([:])

    var all: [String: Answer] { values.withLock { $0 } }

    func take(_ answer: Answer, from child: String) {
      values.withLock { values in
        var answer = answer
        if let last = values[child], last.pid == answer.pid { answer.rate = LiveDisplay.rate(from: last, to: answer) }
        values[child] = answer
      }
    }
  }

  private static let askEveryMs = 1_000
  /// How soon what the supervisor knows is on the screen.
  private static let lookEveryMs = 50
  private static let askTimeoutMs = 1_000

  private let title: String
  private let children: [Supervisor.Child]
  private let board: SupervisorBoard
  private let password: String?
  private let usesColor: Bool

  /// - Parameter title: The first line.
  public init(
    title: String, children: [Supervisor.Child], board: SupervisorBoard, password: String?, usesColor: Bool
  ) {
    self.title = title
    self.children = children
    self.board = board
    self.password = password
    self.usesColor = usesColor
  }

  public func run() async throws {
    let answers = Answers()
    await cancelWhenGracefulShutdown {
      let canvas = TerminalCanvas(output: .standardOutput, usesColor: usesColor)
      defer { canvas.end() }
      async let asking: Void = ask(answers)
      await drawing(canvas, answers)
      await asking
      // How everything ended.
      draw(canvas, answers.all)
    }
  }

  /// Until it is cancelled: at every change of the supervisor's, and once a second.
  private func drawing(_ canvas: TerminalCanvas, _ answers: Answers) async {
    var drawn = (version: -1, at: Instant(nanoseconds: 0))
    while !Task.isCancelled {
      let version = board.version
      if version != drawn.version || Instant.now().milliseconds(since: drawn.at) >= Double(Self.askEveryMs) {
        drawn = (version, .now())
        draw(canvas, answers.all)
      }
      try? await Task.sleep(for: .milliseconds(Self.lookEveryMs))
    }
  }

  private func draw(_ canvas: TerminalCanvas, _ answers: [String: Answer]) {
    let size = TerminalCanvas.size(of: .standardOutput)
    let processes = children.map { child in
      let state = board.state(of: child.name)
      // What it said in an earlier life does not count.
      let answer = answers[child.name].flatMap { answer in
        switch state.phase {
        case .running(let pid), .stopping(let pid): answer.pid == pid ? answer : nil
        case .notStarted, .waiting, .ended: nil
        }
      }
      return LiveTable.Process(
        name: child.name, state: state, figures: answer?.figures, hasPort: child.status != nil, rate: answer?.rate)
    }
    canvas.draw(LiveTable.lines(title: title, processes, width: size.columns, height: size.rows))
  }

  // MARK: - Asking

  /// Until it is cancelled: every process, all at once, each second.
  private func ask(_ answers: Answers) async {
    while !Task.isCancelled {
      if board.beginQuestions() {
        await askAll(answers)
        board.endQuestions()
      }
      try? await Task.sleep(for: .milliseconds(Self.askEveryMs))
    }
  }

  private func askAll(_ answers: Answers) async {
    await withTaskGroup(of: (String, Answer)?.self) { group in
      for child in children {
        guard let address = child.status, case .running(let pid) = board.state(of: child.name).phase else { continue }
        group.addTask {
          await figures(of: child, at: address).map { (child.name, Answer(pid: pid, figures: $0, at: .now())) }
        }
      }
      for await case let (child, answer)? in group { answers.take(answer, from: child) }
    }
  }

  private func figures(of child: Supervisor.Child, at address: ServerAddress) async -> RoleFigures? {
    var client = RESPClientConfiguration.standard(host: address.host, port: address.port, password: password)
    client.connectTimeoutMs = Self.askTimeoutMs
    client.replyTimeoutMs = Self.askTimeoutMs
    do {
      let connection = try await RESPConnection.connect(client, on: MultiThreadedEventLoopGroup.singleton)
      let reply = try? await connection.command(["INFO"])
      await connection.close()
      return reply?.text.map { RoleFigures(role: child.role, info: $0) }
    } catch {
      // It is starting, or too busy: the table says so.
      return nil
    }
  }

  private static func rate(from last: Answer, to next: Answer) -> Double? {
    guard let before = last.figures.work, let after = next.figures.work, after >= before else { return nil }
    let ms = next.at.milliseconds(since: last.at)
    return ms > 0 ? Double(after - before) * 1000 / ms : nil
  }
}
