import FreshetCore

/// A model description that cannot be used.
public struct SchemaError: DescribedError, Equatable {
  public let code: String
  /// Starts with `path`.
  public let message: String
  /// The key at fault as it would be written in the configuration, such as `slots[3].table`.
  public let path: String

  public init(path: String, reason: String) {
    code = "schema"
    self.path = path
    message = "\(path): \(reason)"
  }
}
