import Foundation
import FreshetCore
import Logging
import NIOConcurrencyHelpers
import ServiceLifecycle

/// `freshet up`: starts every role of a configuration as a process of its own, and starts those that end again.
public struct Supervisor: Service {
  /// One process to keep running.
  public struct Child: Sendable {
    public let name: String
    public let role: String
    public let arguments: [String]
    /// Where it answers INFO; nil if it has no such port.
    public let status: ServerAddress?

    public init(name: String, role: String, arguments: [String], status: ServerAddress?) {
      self.name = name
      self.role = role
      self.arguments = arguments
      self.status = status
    }
  }

  /// Children tell by this that they belong to a supervisor, and end when it is gone.
  public static let parentVariable = "FRESHET_SUPERVISOR_PID"
  private static let stopSeconds = 10.0

  private let executable: String
  private let children: [Child]
  /// Where the children's output goes, a file for each; nil: to this process's own.
  private let logDirectory: String?
  private let board: SupervisorBoard
  private let logger: Logger
  /// One child is started at a time.
  private let starting = NIOLockedValueBox(())

  public init(
    executable: String, children: [Child], logDirectory: String?, board: SupervisorBoard, logger: Logger
  ) {
    self.executable = executable
    self.children = children
    self.logDirectory = logDirectory
    self.board = board
    self.logger = logger
  }

  public func run() async throws {
    let outcome = RoleOutcome()
    async let ended: Void = withTaskGroup(of: Void.self) { group in
      for child in children {
        group.addTask { await WorkerThread.run("up-\(child.name)") { keepRunning(child, outcome) } }
      }
    }
    try await outcome.wait()
    await ended
  }

  private func keepRunning(_ child: Child, _ outcome: RoleOutcome) {
    var backoff = Backoff(baseMs: 200, capMs: 10_000, seed: UInt64.random(in: 0 ... .max))
    while !outcome.isEnded {
      let startedAt = Instant.now()
      let process = Process()
      process.executableURL = URL(fileURLWithPath: executable)
      process.arguments = child.arguments
      process.environment = ProcessInfo.processInfo.environment.merging([
        Self.parentVariable: String(ProcessInfo.processInfo.processIdentifier)
      ]) { $1 }
      process.standardInput = FileHandle.nullDevice
      do {
        // Foundation's `Process.run` lists the open descriptors for the child to close: another start must not change them
        // meanwhile, nor inherit those that this one opens.
        try starting.withLockedValue { _ in try board.whileNobodyAsks { try start(process, child) } }
      } catch {
        logger.error("cannot start \(child.name): \(error)")
        return outcome.fail(error)
      }
      board.update(child.name) { $0.phase = .running(pid: process.processIdentifier) }
      logger.info("started", metadata: ["child": "\(child.name)", "pid": "\(process.processIdentifier)"])
      while process.isRunning && !outcome.isEnded { Thread.sleep(forTimeInterval: 0.1) }
      if outcome.isEnded { return stop(process, child) }
      let how = process.terminationReason == .uncaughtSignal ? "signal" : "exit code"
      let code = process.terminationStatus
      if process.terminationReason == .exit && code == 2 {
        // A wrong configuration does not get better by trying again.
        logger.error("\(child.name) refused its configuration")
        board.update(child.name) { $0.phase = .ended }
        let place = logPath(child).map { "in \($0)" } ?? "above"
        return outcome.fail(UsageError("\(child.name) refused its configuration; its message is \(place)"))
      }
      if Instant.now().milliseconds(since: startedAt) > 30_000 { backoff.reset() }
      let waitMs = backoff.next()
      logger.warning(
        "ended; starting it again",
        metadata: ["child": "\(child.name)", "\(how)": "\(code)", "wait_ms": "\(waitMs)"])
      board.update(child.name) {
        $0.phase = .waiting("\(how) \(code)")
        $0.restarts += 1
      }
      wait(milliseconds: waitMs, outcome)
    }
    board.update(child.name) { $0.phase = .ended }
  }

  private func start(_ process: Process, _ child: Child) throws {
    guard let path = logPath(child) else { return try process.run() }
    let log = try Self.appending(to: path)
    defer { try? log.close() }
    process.standardOutput = log
    process.standardError = log
    try process.run()
  }

  private func logPath(_ child: Child) -> String? { logDirectory.map { "\($0)/\(child.name).log" } }

  /// A file that is made if it is not there.
  public static func appending(to path: String) throws -> FileHandle {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw UsageError("\(path) cannot be written: \(String(cString: strerror(errno)))") }
    return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }

  private func wait(milliseconds: Int, _ outcome: RoleOutcome) {
    let end = Instant.now().advanced(byMs: milliseconds)
    while Instant.now() < end && !outcome.isEnded { Thread.sleep(forTimeInterval: 0.02) }
  }

  private func stop(_ process: Process, _ child: Child) {
    defer { board.update(child.name) { $0.phase = .ended } }
    guard process.isRunning else { return }
    board.update(child.name) { $0.phase = .stopping(pid: process.processIdentifier) }
    process.terminate()
    let end = Date(timeIntervalSinceNow: Self.stopSeconds)
    while process.isRunning && Date.now < end { Thread.sleep(forTimeInterval: 0.02) }
    if process.isRunning {
      logger.warning("does not stop; killing it", metadata: ["child": "\(child.name)"])
      kill(process.processIdentifier, SIGKILL)
    }
    process.waitUntilExit()
  }
}

/// Ends a supervised process when its supervisor has been killed.
public struct SupervisorWatch: Service {
  private let parent: Int32

  /// nil for a process that nobody supervises.
  public init?(environment: [String: String]) {
    guard let text = environment[Supervisor.parentVariable], let parent = Int32(text) else { return nil }
    self.parent = parent
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      while getppid() == parent {
        do {
          try await Task.sleep(for: .milliseconds(500))
        } catch {
          return
        }
      }
    }
  }
}
