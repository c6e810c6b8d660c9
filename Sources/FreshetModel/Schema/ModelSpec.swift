import FreshetCore

/// Everything that defines a model: its raw fields, what they become, where the rows live and what is computed.
public struct ModelSpec: Sendable, Equatable {
  public var name: String
  /// Tells this model from others of the same name, such as one that is trained beside it to take its place. Default: 1.
  public var version = 1
  /// Position in `fields`: the user. Its canonical text is the Kafka key of `features`, `actions` and `examples`.
  public var userKey: Int
  /// Position in `fields`: the item that a request is about. A request field; it also is the key of the `items` records.
  public var itemKey: Int
  public var fields: [FieldSpec]
  /// Default: none.
  public var enrichments: [EnrichmentSpec] = []
  public var slots: [SlotSpec]
  /// Default: none.
  public var denseFeatures: [DenseFeatureSpec]
  public var tables: [TableSpec]
  public var network: NetworkSpec
  public var tasks: [TaskSpec]
  /// Whether training also counts, in a table of its own, how often each fid occurred in examples. Default: false.
  public var audit: Bool

  public init(
    name: String, userKey: Int, itemKey: Int, fields: [FieldSpec], slots: [SlotSpec],
    denseFeatures: [DenseFeatureSpec] = [], tables: [TableSpec], network: NetworkSpec, tasks: [TaskSpec],
    audit: Bool = false
  ) {
    self.name = name
    self.userKey = userKey
    self.itemKey = itemKey
    self.fields = fields
    self.slots = slots
    self.denseFeatures = denseFeatures
    self.tables = tables
    self.network = network
    self.tasks = tasks
    self.audit = audit
  }

  /// What `validate()` holds a model to.
  public enum Limits {
    public static let fields = 256
    public static let slots = 256
    public static let enrichments = 16
    public static let fidsPerSlot = 255
    public static let fieldsPerCross = 8
    public static let denseFeatures = 1024
    public static let tables = 64
    /// With those that slots' overrides make. Two more are those of the audit and the dense tensors; positions are one byte
    /// on the wire.
    public static let rowTables = 254
    public static let tasks = 16
    /// Up to 30 days.
    public static let dwellMilliseconds: ClosedRange<Int64> = 1...2_592_000_000
    public static let bucketBoundaries = 10_000
    public static let dimension = 512
    public static let hiddenLayers = 8
    public static let hiddenUnits = 4096
    public static let crossLayers = 8
    public static let experts = 64
    /// Of the dense tensors together: 1 GiB without optimizer state.
    public static let denseParameters = 1 << 28
    public static let nameBytes = 255
    public static let minimumCount = 255
    /// Of an admission sketch.
    public static let sketchBytes = 64...1 << 30
    /// 190 years.
    public static let timeToLiveMinutes = 100_000_000
    public static let maximumRows = 1 << 40
    /// Bytes of one field value's canonical text; a longer one is a wrong record.
    public static let valueBytes = 4096
  }

  public func field(named name: String) -> Int? { fields.firstIndex { $0.name == name } }
  public func slot(named name: String) -> SlotSpec? { slots.first { $0.name == name } }

  /// Changes whenever the meaning of an example record does: with the fields, the slots, the dense features, the tasks and
  /// the keys, but not with tables, optimizers, slots' overrides, pooling or the network. Examples carry it, so that a trainer refuses
  /// records that a joiner made from another schema.
  /// - Complexity: Serialises the schema; keep the result.
  public var fingerprint: UInt32 {
    var writer = BinaryWriter(capacity: 1024)
    writer.write(UInt32(userKey))
    writer.write(UInt32(itemKey))
    writer.write(UInt32(fields.count))
    for field in fields {
      writer.write(shortText: field.name)
      writer.write(shortText: field.type.rawValue)
      writer.write(UInt8(field.multi ? 1 : 0))
      switch field.source {
      case .request: writer.write(shortText: "request")
      case .item: writer.write(shortText: "item")
      case .enrichment(let position): writer.write(shortText: "enrichment " + enrichments[position].name)
      }
    }
    for enrichment in enrichments {
      writer.write(shortText: enrichment.name)
      writer.write(UInt32(enrichment.key))
    }
    writer.write(UInt32(slots.count))
    for slot in slots {
      writer.write(shortText: slot.name)
      writer.write(UInt32(slot.fields.count))
      for field in slot.fields { writer.write(UInt32(field)) }
      slot.transform.write(to: &writer)
      // Only where it is given: the fingerprints of models without it are older than it is.
      if let length = slot.maximumLength {
        writer.write(shortText: "max_length")
        writer.write(UInt32(length))
      }
    }
    writer.write(UInt32(denseFeatures.count))
    for dense in denseFeatures {
      writer.write(shortText: dense.name)
      writer.write(UInt32(dense.field))
      dense.transform.write(to: &writer)
      writer.write(dense.defaultValue)
    }
    writer.write(UInt32(tasks.count))
    for task in tasks {
      writer.write(shortText: task.name)
      writer.write(shortText: task.action)
      switch task.positive {
      case .presence: writer.write(UInt8(0))
      case .valueAtLeast(let threshold):
        writer.write(UInt8(1))
        writer.write(threshold)
      case .dwellAtLeast(let milliseconds):
        writer.write(UInt8(2))
        writer.write(milliseconds)
      }
    }
    return writer.bytes.withUnsafeBytes { UInt32(truncatingIfNeeded: Hashing.xxh3($0)) }
  }
}

extension SlotSpec.Transform {
  fileprivate func write(to writer: inout BinaryWriter) {
    switch self {
    case .hash: writer.write(UInt8(0))
    case .bucketize(let boundaries):
      writer.write(UInt8(1))
      writer.write(UInt32(boundaries.count))
      for boundary in boundaries { writer.write(boundary) }
    case .prefix(let characters):
      writer.write(UInt8(2))
      writer.write(UInt32(characters))
    }
  }
}

extension DenseFeatureSpec.Transform {
  fileprivate func write(to writer: inout BinaryWriter) {
    switch self {
    case .identity: writer.write(UInt8(0))
    case .log1p: writer.write(UInt8(1))
    case .standardize(let mean, let deviation):
      writer.write(UInt8(2))
      writer.write(mean)
      writer.write(deviation)
    }
  }
}
