import ArgumentParser
import Foundation
import FreshetCore
import FreshetRoles
import FreshetStore

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Look at snapshots: a store, a manifest or a data file.",
    discussion: """
      A directory is listed by shard. Of a data file the header is shown: tables, watermarks, counts. Exits with 1 if \
      something is missing or damaged. Changes nothing.

      EXAMPLES:
        freshet inspect snapshots
        freshet inspect snapshots --verify
        freshet inspect snapshots --table embedding --rows 10
      """)

  @Argument(help: "A directory with snapshots, or one of its files.") var path: String
  @Flag(help: "Read everything and compare all checksums.") var verify = false
  @Option(help: "Show this many rows of a data file.") var rows = 0
  @Option(help: "Show rows of this table only.") var table: String?
  @Option(help: "Show the row of this fid.") var fid: Fid?
  @Flag(help: "Print one JSON object.") var json = false

  func run() throws {
    guard rows >= 0 else { throw UsageError("--rows \(rows) is below 0") }
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw UsageError("there is no \(path)")
    }
    let options = InspectOptions(path: path, verify: verify, rows: rows, table: table, fid: fid)
    let (store, file) = InspectOptions.split(path: path, isDirectory: isDirectory.boolValue)
    var inspector = Inspector(
      store: try DirectoryStore(reading: store), compressor: ZstdCompressor(level: 1), options: options)
    let report = try inspector.inspect(file: file)
    print(json ? try report.json : report.text(now: .now()))
    if !report.problems.isEmpty { throw ExitCode(1) }
  }
}
