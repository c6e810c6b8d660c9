/// How a table keeps the weights of its rows. Optimizer state is always 32 bits wide.
public enum WeightPrecision: String, Sendable, CaseIterable {
  case fp32
  /// IEEE binary16.
  case fp16
  /// The upper half of a 32-bit float.
  case bf16
}

/// The rows of all slots that share a dimension and an optimizer.
public struct TableSpec: Sendable, Equatable {
  /// Unique in the model, 1...255 bytes of UTF-8.
  public var name: String
  /// The factors of an embedding, in `0...512`; 0 for a table of linear weights only. The linear weight that every
  /// network keeps for each fid comes on top of it. Slots of one model may have tables of different dimensions.
  public var dimension: Int
  /// Default: `OptimizerSpec.standard`.
  public var optimizer: OptimizerSpec
  /// Standard deviation of the factors of a new row (uniform, mean 0); linear weights start at 0. Default: 0.01.
  public var initialDeviation: Double
  /// Seed of the initializer, which is a pure function of (seed, fid). Default: 1.
  public var seed: UInt64
  /// What weights are kept as while they are trained. Default: `fp32`.
  public var weights: WeightPrecision
  /// Default: `everything`.
  public var admission: AdmissionSpec
  /// Event time in minutes after its last update when a row goes away. Default: nil, never.
  public var timeToLiveMinutes: UInt32?
  /// Most rows on all shards together; beyond its share, a shard gives up rows that were updated long ago. Default: nil, no
  /// limit.
  public var maximumRows: Int?

  public init(
    name: String, dimension: Int, optimizer: OptimizerSpec = .standard, initialDeviation: Double = 0.01,
    seed: UInt64 = 1, weights: WeightPrecision = .fp32, admission: AdmissionSpec = .everything,
    timeToLiveMinutes: UInt32? = nil, maximumRows: Int? = nil
  ) {
    self.name = name
    self.dimension = dimension
    self.optimizer = optimizer
    self.initialDeviation = initialDeviation
    self.seed = seed
    self.weights = weights
    self.admission = admission
    self.timeToLiveMinutes = timeToLiveMinutes
    self.maximumRows = maximumRows
  }
}

/// One label that is learned.
public struct TaskSpec: Sendable, Equatable {
  /// When an action makes a positive example.
  public enum Positive: Sendable, Equatable {
    /// Always: the action as such is the positive label.
    case presence
    /// When the action's `value` is at least the threshold. An action without a value is then a wrong record.
    case valueAtLeast(Double)
    /// When the action comes at least so many ms of event time after its impression, at least 1: an action such as `leave`
    /// says how long the user stayed.
    case dwellAtLeast(milliseconds: Int64)
  }

  /// Unique in the model, 1...255 bytes of UTF-8.
  public var name: String
  /// The `action` of the records that carry the label. Several tasks may read the same action.
  public var action: String
  /// Default: `presence`.
  public var positive: Positive

  public init(name: String, action: String, positive: Positive = .presence) {
    self.name = name
    self.action = action
    self.positive = positive
  }
}
