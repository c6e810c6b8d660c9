import FreshetCore
import FreshetModel
import FreshetTable

/// The tables of a cluster: those of the model, in the schema's order, those that overrides of slots make
/// (`ModelSpec.rowTables`), after them that of the audit if the model has one, and last the one of the dense tensors.
///
/// Every role derives them from the same configuration, so a table's position is its name on the wire.
public struct ModelTables: Sendable {
  public static let denseTableName = "dense"
  public static let auditTableName = "audit"

  public let shape: NetworkShape
  public let denseLayout: DenseLayout
  /// By slot.
  public let pooling: [SlotSpec.Pooling]
  /// By slot, the position of its table.
  public let tableOfSlot: [Int]
  /// With the optimizers of training, and limits of rows that hold for all shards together; the last one is the dense table.
  public private(set) var layouts: [TableLayout]
  /// The table whose rows count, with one weight, how often their fid occurred in the examples trained on: proof that each
  /// was applied exactly once (docs/exactly-once.md). It is written by pushes and never pulled.
  public let auditTable: Int?

  public var denseTable: Int { layouts.count - 1 }
  /// Those that slots live in; they come first.
  public var slotTableCount: Int { auditTable ?? denseTable }

  /// - Throws: `mismatch` if the network cannot compute on the slots' vectors, or if a table has a name that is taken.
  public init(_ model: ModelSpec) throws(ClusterError) {
    do {
      try model.network.validateSlots(model.slots, tables: model.tables)
    } catch {
      throw ClusterError(.mismatch, error.message)
    }
    guard !model.tables.contains(where: { $0.name == Self.denseTableName }) else {
      throw ClusterError(.mismatch, "a table is named \(Self.denseTableName), which is the dense tensors' name")
    }
    shape = NetworkShape(model)
    denseLayout = DenseLayout(shape: shape)
    pooling = model.slots.map(\.pooling)
    let rowTables = model.rowTables
    tableOfSlot = rowTables.tableOfSlot
    var layouts = rowTables.tables.map { TableLayout($0) }
    let initial = InitialRows(
      fids: denseLayout.fids, values: denseLayout.initialParameters(seed: model.tables[0].seed),
      width: DenseLayout.chunkWidth)
    auditTable = model.audit ? layouts.count : nil
    if model.audit {
      guard !layouts.contains(where: { $0.name == Self.auditTableName }) else {
        throw ClusterError(.mismatch, "a table is named \(Self.auditTableName), which is the audit's name")
      }
      layouts.append(Self.auditLayout(admission: .everything))
    }
    layouts.append(
      TableLayout(
        name: Self.denseTableName, width: DenseLayout.chunkWidth, weightFormat: .float32,
        optimizer: Optimizer(model.network.optimizer), gradientRules: GradientRules(model.network.optimizer),
        initializer: .tabulated(initial), admission: .everything, expiry: .never))
    self.layouts = layouts
  }

  /// Steps of SGD with rate 1 down the gradient −n add n: exact for counts up to 2²⁴.
  private static func auditLayout(admission: Admission) -> TableLayout {
    TableLayout(
      name: auditTableName, width: 1, weightFormat: .float32, optimizer: .sgd(SGD(learningRate: 1)),
      gradientRules: .none, initializer: .constant(0), admission: admission, expiry: .never)
  }

  /// The same tables with a rule of admission for the audit, which otherwise counts every fid from its first example on.
  /// - Precondition: There is an audit.
  public func withAuditAdmission(_ admission: Admission) -> ModelTables {
    var tables = self
    tables.layouts[auditTable!] = Self.auditLayout(admission: admission)
    return tables
  }

  /// The same tables for a replica: weights without optimizer state.
  /// - Parameter weightFormat: Of embeddings. The dense tensors, a small part of a model that every score reads, stay as they
  ///   are, and so do the counts of an audit.
  public func servingLayouts(weightFormat: WeightFormat) -> [TableLayout] {
    layouts.enumerated().map { position, layout in
      layout.serving(weightFormat: position < slotTableCount ? weightFormat : layout.weightFormat)
    }
  }

  /// By table, what weights travel to replicas as. The dense tensors and the counts of an audit stay as they are, and a table that
  /// is trained in 16 bits travels in those.
  /// - Parameter format: Of embeddings that are trained in fp32.
  public func syncFormats(_ format: WeightFormat) -> [WeightFormat] {
    layouts.enumerated().map { position, layout in
      position < slotTableCount && layout.weightFormat == .float32 ? format : layout.weightFormat
    }
  }

  /// - Throws: `mismatch` that names the tables.
  func position(ofTable name: String) throws(ClusterError) -> Int {
    if let position = layouts.firstIndex(where: { $0.name == name }) { return position }
    throw ClusterError(.mismatch, "no table \(name); the tables are \(layouts.map(\.name).joined(separator: ", "))")
  }

  public func makeNetwork() -> Network { Network(shape: shape, pooling: pooling) }
}
