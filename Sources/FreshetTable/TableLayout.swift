import FreshetCore

/// What all rows of a table share.
public struct TableLayout: Sendable {
  public let name: String
  /// Floats of weights in a row: `factors + 1` for an embedding (the last one is the linear weight), the chunk size for
  /// dense tensors. In `1...1024`.
  public let width: Int
  public let optimizer: Optimizer
  public let initializer: Initializer

  public init(name: String, width: Int, optimizer: Optimizer, initializer: Initializer) {
    precondition((1...1024).contains(width), "table \(name): width \(width) is not in 1...1024")
    self.name = name
    self.width = width
    self.optimizer = optimizer
    self.initializer = initializer
  }

  /// Floats of a row: weights, then optimizer state.
  public var stride: Int { width + optimizer.stateWidth(for: width) }
}
