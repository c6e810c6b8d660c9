import FreshetCore

/// What a reader must know of the schema to make sense of an example record.
public struct ExampleLayout: Sendable, Equatable {
  /// `ModelSpec.fingerprint`.
  public let fingerprint: UInt32
  public let taskCount: Int
  public let slotCount: Int
  public let denseCount: Int

  public init(fingerprint: UInt32, taskCount: Int, slotCount: Int, denseCount: Int) {
    precondition((0...ModelSpec.Limits.tasks).contains(taskCount))
    precondition((0...ModelSpec.Limits.slots).contains(slotCount))
    precondition((0...ModelSpec.Limits.denseFeatures).contains(denseCount))
    self.fingerprint = fingerprint
    self.taskCount = taskCount
    self.slotCount = slotCount
    self.denseCount = denseCount
  }

  public init(_ spec: ModelSpec) {
    self.init(
      fingerprint: spec.fingerprint, taskCount: spec.tasks.count, slotCount: spec.slots.count,
      denseCount: spec.denseFeatures.count)
  }

  /// Bytes of a record without its fids.
  public var fixedByteCount: Int { ExampleCodec.headerByteCount + 4 * taskCount + slotCount + 4 * denseCount }
  /// Bytes of the largest record.
  public var maxByteCount: Int { fixedByteCount + 8 * slotCount * ModelSpec.Limits.fidsPerSlot }
}

/// What an example was made of, and how its labels are to be learned (`ExampleLoss`). Raw values are the record's flags.
public enum ExampleOrigin: UInt8, Sendable, CaseIterable {
  /// Actions. Labels of 0 stand for impressions none of which was dropped.
  case actions = 0
  /// A window that closed without an action: one of those that were kept with the probability `negativeRate`.
  case negative = 1
  /// An action that came after its impression had given a `negative` example: that one is taken back, in all tasks, and
  /// these labels take its place.
  case correctsNegative = 2
  /// An action that came after its impression had given an example of `actions` with 0 for its tasks: these labels take the
  /// place of those.
  case correctsLabels = 4
}

/// What an example record holds beside its labels, fids and dense features.
public struct ExampleHeader: Sendable, Equatable {
  /// XXH3 of the request id's UTF-8.
  public var requestHash: UInt64
  /// When the impression happened.
  public var eventTimeMs: Int64
  /// When the action happened; for an example that is made when the window closes, that time.
  public var actionTimeMs: Int64
  /// When Kafka appended the record that completed the example: the start of the freshness measurement.
  public var ingestTimeMs: Int64
  /// Above 0 and finite.
  public var weight: Float
  /// The probability with which negative examples are kept, in `0...1`: 1 where none were dropped.
  public var negativeRate: Float
  public var origin: ExampleOrigin

  public init(
    requestHash: UInt64, eventTimeMs: Int64, actionTimeMs: Int64, ingestTimeMs: Int64, weight: Float,
    negativeRate: Float, origin: ExampleOrigin
  ) {
    self.requestHash = requestHash
    self.eventTimeMs = eventTimeMs
    self.actionTimeMs = actionTimeMs
    self.ingestTimeMs = ingestTimeMs
    self.weight = weight
    self.negativeRate = negativeRate
    self.origin = origin
  }
}

/// An example record that cannot be used.
public struct ExampleError: DescribedError, Equatable {
  public enum Kind: String, Sendable {
    /// Shorter or longer than its own counts say, or with a value that is out of range.
    case malformed = "example-malformed"
    /// A version that this program does not know.
    case unknownVersion = "example-version"
    /// Made from another schema.
    case schemaMismatch = "example-schema-mismatch"
  }

  public let kind: Kind
  public let message: String
  public var code: String { kind.rawValue }

  public init(kind: Kind, message: String) {
    self.kind = kind
    self.message = message
  }

  static func malformed(_ reason: String, at position: Int) -> ExampleError {
    ExampleError(kind: .malformed, message: "malformed example record at byte \(position): \(reason)")
  }
}
