import Foundation
import FreshetCore

/// `freshet up`, or one role, as a child process, with its output in a file.
final class ClusterProcess: Sendable {
  private static let stopSeconds = 20.0

  private let process = Process()
  let logPath: String

  /// - Throws: If the program or the log file cannot be opened.
  init(executable: String, arguments: [String], logPath: String) throws {
    self.logPath = logPath
    let directory = URL(fileURLWithPath: logPath).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    guard FileManager.default.createFile(atPath: logPath, contents: nil),
      let log = FileHandle(forWritingAtPath: logPath)
    else { throw UsageError("cannot write \(logPath)") }
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    // It ends when this process does, however that ends.
    process.environment = ProcessInfo.processInfo.environment.merging([
      Supervisor.parentVariable: String(ProcessInfo.processInfo.processIdentifier)
    ]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = log
    process.standardError = log
    try process.run()
  }

  var isRunning: Bool { process.isRunning }
  var processIdentifier: Int32 { process.processIdentifier }

  /// Asks the cluster to end and waits for it; kills it if it takes too long.
  func stop() async {
    guard process.isRunning else { return }
    process.terminate()
    let end = Instant.now().advanced(bySeconds: Self.stopSeconds)
    while process.isRunning && Instant.now() < end { try? await Task.sleep(for: .milliseconds(20)) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }
}
