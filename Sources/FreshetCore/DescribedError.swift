/// What every error of Freshet tells: a stable code to match on, and a message that says what, where and what to do.
public protocol DescribedError: Error, Sendable, CustomStringConvertible {
  /// Lower-case words joined by `-`, stable across releases.
  var code: String { get }
  var message: String { get }
}

extension DescribedError {
  public var description: String { "\(message) [\(code)]" }
}
