import Foundation
import FreshetCore
import Logging

/// One line of logfmt a message, on standard error unless told otherwise: `time=… level=info role=ps msg="…" key=value …`.
public struct LogfmtHandler: LogHandler {
  public var logLevel: Logger.Level = .info
  public var metadata: Logger.Metadata = [:]

  private let output: FileHandle

  public init(to output: FileHandle = .standardError) { self.output = output }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var line = "time=\(Self.timestamp()) level=\(event.level)"
    if let role = metadata["role"] { line += " role=\(Self.quoted("\(role)"))" }
    line += " msg=\(Self.quoted("\(event.message)"))"
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    for (key, value) in all.sorted(by: { $0.key < $1.key }) where key != "role" {
      line += " \(key)=\(Self.quoted("\(value)"))"
    }
    line += "\n"
    // One write for one line, so that lines of several processes do not mix.
    output.write(Data(line.utf8))
  }

  private static func timestamp() -> String {
    Date.now.formatted(
      .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
  }

  static func quoted(_ text: String) -> String {
    let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 32 && $0 != 34 && $0 != 61 && $0 != 92 && $0 < 127 }
    if isPlain { return text }
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\r": quoted += "\\r"
      case "\t": quoted += "\\t"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
