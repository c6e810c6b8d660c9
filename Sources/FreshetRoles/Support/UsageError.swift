import FreshetCore

/// A command line that cannot be used: the program ends with exit code 2.
public struct UsageError: DescribedError, Equatable {
  public let code = "usage"
  public let message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}
