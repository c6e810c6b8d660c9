import FreshetCore

/// What all rows of a table share.
public struct TableLayout: Sendable {
  public let name: String
  /// Weights in a row: `factors + 1` for an embedding (the last one is the linear weight), the chunk size for dense tensors.
  /// In `1...1024`.
  public let width: Int
  public let weightFormat: WeightFormat
  public let optimizer: Optimizer
  public let gradientRules: GradientRules
  public let initializer: Initializer
  public let admission: Admission
  public let expiry: Expiry

  public init(
    name: String, width: Int, weightFormat: WeightFormat, optimizer: Optimizer, gradientRules: GradientRules,
    initializer: Initializer, admission: Admission, expiry: Expiry
  ) {
    precondition((1...1024).contains(width), "table \(name): width \(width) is not in 1...1024")
    self.name = name
    self.width = width
    self.weightFormat = weightFormat
    self.optimizer = optimizer
    self.gradientRules = gradientRules
    self.initializer = initializer
    self.admission = admission
    self.expiry = expiry
  }

  /// The same rows as a replica keeps them: weights alone, which come and go as its servers say.
  public func serving(weightFormat: WeightFormat) -> TableLayout {
    TableLayout(
      name: name, width: width, weightFormat: weightFormat, optimizer: .weightsOnly, gradientRules: .none,
      initializer: initializer, admission: .everything, expiry: .never)
  }

  /// Bytes from one row in memory to the next: weights, optimizer state, and what keeps rows on cache lines.
  public var strideBytes: Int { RowShape(self).strideBytes }
  /// Bytes of a row as a cut hands it over: weights in the table's format, filled up to a multiple of 4 with zeros, then
  /// optimizer state in fp32.
  public var rowBytes: Int { RowShape(self).rowBytes }
  /// Floats that `EmbeddingTable.gather(_:into:states:)` gives of a row beside its weights: the optimizer state, and one that
  /// says whether the row exists.
  public var copiedStateWidth: Int { optimizer.stateWidth(for: width) + 1 }
}

/// Which rows go away by themselves.
public struct Expiry: Sendable, Hashable {
  /// Event time after its last update when a row counts as absent; nil for never. Measured against the newest update of the
  /// table, not the clock on the wall, so a replay forgets what the first run forgot.
  public var timeToLiveMinutes: UInt32?
  /// Most rows of the table; beyond it the row of a sample goes that was updated longest ago. Nil for no limit.
  public var maximumRows: Int?

  public static let never = Expiry(timeToLiveMinutes: nil, maximumRows: nil)

  public init(timeToLiveMinutes: UInt32?, maximumRows: Int?) {
    precondition(maximumRows ?? 1 >= 1 && timeToLiveMinutes ?? 1 >= 1)
    self.timeToLiveMinutes = timeToLiveMinutes
    self.maximumRows = maximumRows
  }
}

/// Where the parts of a row lie.
struct RowShape: Sendable {
  let width: Int
  /// Of the weights, up to the first float of state.
  let weightBytes: Int
  let stateVectors: Int
  let stateScalars: Int
  let rowBytes: Int
  let strideBytes: Int

  init(_ layout: TableLayout) {
    width = layout.width
    weightBytes = Self.weightBytes(width, of: layout.weightFormat.byteCount)
    (stateVectors, stateScalars) = layout.optimizer.stateShape
    rowBytes = weightBytes + (stateVectors * width + stateScalars) * 4
    // Rows that begin with a cache line touch the fewest of them, if that costs little memory.
    let aligned = (rowBytes + 63) & ~63
    strideBytes = aligned - rowBytes <= rowBytes / 8 ? aligned : rowBytes
  }

  /// - Parameter byteCount: Of one weight.
  @inline(__always)
  static func weightBytes(_ width: Int, of byteCount: Int) -> Int { (width &* byteCount &+ 3) & ~3 }

  /// Floats of a row as they are handed out: weights, then state.
  var floatCount: Int { width + stateVectors * width + stateScalars }
}
