import FreshetCore

/// A configuration that cannot be used: the program ends with exit code 2.
public struct ConfigurationError: DescribedError, Equatable {
  public let code = "configuration"
  /// `file:line: key: reason`.
  public let message: String

  public init(file: String, line: Int?, key: String, reason: String) {
    let place = line.map { "\(file):\($0)" } ?? file
    message = key.isEmpty ? "\(place): \(reason)" : "\(place): \(key): \(reason)"
  }

  public var description: String { message }
}
