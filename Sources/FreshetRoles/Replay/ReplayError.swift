import FreshetCore

/// What stops a replay: an option that makes no sense, a file that cannot be read, a broker that refuses.
public struct ReplayError: DescribedError {
  public let code: String
  public let message: String

  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }
}

/// A row of an input file that cannot become a record. It is reported and sent to the dead-letter topic.
public struct BadRow: Sendable {
  /// The file's path, as it was opened.
  public let file: String
  /// Counted from 1.
  public let line: Int
  public let reason: String
  /// What stands on the line, without its end.
  public let bytes: [UInt8]

  /// Stable code of every bad row's dead-letter record.
  public static let reasonCode = "unparsable-row"

  public var location: String { "\(file):\(line)" }
}

/// Decides what a bad row means: returning goes on with the next row, throwing ends the reading.
public typealias BadRowReport = (BadRow) throws -> Void
