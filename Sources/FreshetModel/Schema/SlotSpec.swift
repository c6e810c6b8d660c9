/// What a slot does differently from its table. Nil leaves it as the table has it.
public struct SlotOverrides: Sendable, Equatable {
  /// Above 0.
  public var learningRate: Double?
  public var admission: AdmissionSpec?
  /// Event time in minutes; 0 for never.
  public var timeToLiveMinutes: UInt32?

  public static let none = SlotOverrides()

  public init(learningRate: Double? = nil, admission: AdmissionSpec? = nil, timeToLiveMinutes: UInt32? = nil) {
    self.learningRate = learningRate
    self.admission = admission
    self.timeToLiveMinutes = timeToLiveMinutes
  }
}

/// One feature column: raw fields in, fids out.
public struct SlotSpec: Sendable, Equatable {
  /// How a value becomes the text that is hashed.
  public enum Transform: Sendable, Equatable {
    /// The value's canonical text.
    case hash
    /// The decimal index of the bucket: the number of boundaries that are ≤ the value, in `0...boundaries.count`.
    /// The boundaries are finite and strictly ascending. Numeric fields only.
    case bucketize(boundaries: [Double])
    /// The first so many characters (Unicode scalars) of the canonical text.
    case prefix(characters: Int)
  }

  /// How the rows of a slot with several fids become one vector.
  public enum Pooling: String, Sendable, CaseIterable {
    case sum
    case mean
    /// The sum divided by the square root of their number.
    case sqrtn
  }

  /// Part of every fid of the slot (`Hashing.fid`); unique in the model, 1...255 bytes of UTF-8 without a zero byte.
  public var name: String
  /// The slot's position in `ModelSpec.slots`, in examples and in the network's input.
  public var index: Int
  /// Positions in `ModelSpec.fields`: one field, or two and more for a cross, whose value is the fields' values in this
  /// order with the byte 0x1F between them (each combination, where fields hold several values).
  public var fields: [Int]
  /// Default: `hash`. A cross can only be hashed.
  public var transform: Transform
  /// Position in `ModelSpec.tables`. Default: 0.
  public var table: Int
  /// Default: `sum`. Of no effect on slots with at most one fid.
  public var pooling: Pooling
  /// The most values of an example that count, in `1...255`: the first ones, of a cross the first combinations. Default: nil, as
  /// many as there may be.
  public var maximumLength: Int?
  /// Slots with overrides of their own have rows of their own (`ModelSpec.rowTables`). Default: none.
  public var overrides: SlotOverrides

  public init(
    name: String, index: Int, fields: [Int], transform: Transform = .hash, table: Int = 0, pooling: Pooling = .sum,
    maximumLength: Int? = nil, overrides: SlotOverrides = .none
  ) {
    self.name = name
    self.index = index
    self.fields = fields
    self.transform = transform
    self.table = table
    self.pooling = pooling
    self.maximumLength = maximumLength
    self.overrides = overrides
  }

  public var isCross: Bool { fields.count > 1 }
}

/// One number that goes to the network as it is, beside the embeddings.
public struct DenseFeatureSpec: Sendable, Equatable {
  public enum Transform: Sendable, Equatable {
    case identity
    /// `sign(x) × ln(1 + |x|)`, so that negative values are legal.
    case log1p
    /// `(x − mean) / deviation`, with a deviation above 0.
    case standardize(mean: Double, deviation: Double)
  }

  /// Unique among the dense features, 1...255 bytes of UTF-8.
  public var name: String
  /// Position in `ModelSpec.fields`: a numeric field that is not a list.
  public var field: Int
  /// Default: `identity`.
  public var transform: Transform
  /// The feature's value, after the transform, where the field is missing. Default: 0.
  public var defaultValue: Float

  public init(name: String, field: Int, transform: Transform = .identity, defaultValue: Float = 0) {
    self.name = name
    self.field = field
    self.transform = transform
    self.defaultValue = defaultValue
  }
}
