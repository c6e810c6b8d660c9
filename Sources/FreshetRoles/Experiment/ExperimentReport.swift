import Foundation
import FreshetCore

/// What an experiment found: a Markdown table and a chart, written to files beside each other.
public struct ExperimentReport: Sendable {
  /// Of the files, without their endings.
  public let name: String
  let title: String
  /// Paragraphs above the table.
  let notes: [String]
  let table: MarkdownTable
  let chart: PointChart

  /// Ends with a line break.
  public var markdown: String {
    ((["# " + title] + notes + [table.text, "![\(title)](\(name).svg)"]).joined(separator: "\n\n")) + "\n"
  }

  /// Writes `name.md` and `name.svg` into a directory, which is made if it is not there.
  /// - Throws: `ReplayError` that names the path.
  public func write(to directory: String) throws {
    let folder = URL(fileURLWithPath: directory, isDirectory: true)
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try Data(markdown.utf8).write(to: folder.appendingPathComponent(name + ".md"), options: .atomic)
      try Data(chart.svg.utf8).write(to: folder.appendingPathComponent(name + ".svg"), options: .atomic)
    } catch {
      throw ReplayError(code: "not-written", message: "\(directory)/\(name).md and .svg: \(error)")
    }
  }
}
