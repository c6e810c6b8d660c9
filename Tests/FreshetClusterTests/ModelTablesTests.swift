import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

@Suite struct ModelTablesTests {
  static let optimizers: [(OptimizerSpec.Kind, Optimizer)] = [
    (.sgd, .sgd(SGD(learningRate: 0.25))),
    (.momentum(momentum: 0.5), .momentum(Momentum(learningRate: 0.25, momentum: 0.5))),
    (
      .adagrad(initialAccumulator: 2, epsilon: 0.5),
      .adagrad(Adagrad(learningRate: 0.25, initialAccumulator: 2, epsilon: 0.5))
    ),
    (.rmsProp(decay: 0.5, epsilon: 2), .rmsProp(RMSProp(learningRate: 0.25, decay: 0.5, epsilon: 2))),
    (
      .adam(beta1: 0.5, beta2: 0.75, epsilon: 2),
      .adam(Adam(learningRate: 0.25, beta1: 0.5, beta2: 0.75, epsilon: 2))
    ),
    (.ftrl(beta: 2), .ftrl(FTRL(learningRate: 0.25, beta: 2, l1: 3, l2: 4))),
  ]

  @Test(arguments: optimizers)
  func everyOptimizerReachesEmbeddingsAndNetworkWithItsParameters(kind: OptimizerSpec.Kind, kernel: Optimizer) {
    let spec = OptimizerSpec(kind, learningRate: 0.25, l1: 3, l2: 4, clipValue: 5, clipNorm: 6)
    let layouts = TestModel.deep.changed {
      $0.tables[1].optimizer = spec
      $0.network.optimizer = spec
    }.tables.layouts
    // FTRL has penalties of its own.
    let isFTRL = kind == .ftrl(beta: 2)
    for layout in layouts[1...] {
      #expect(layout.optimizer == kernel)
      #expect(
        layout.gradientRules == GradientRules(clipValue: 5, clipNorm: 6, l1: isFTRL ? 0 : 3, l2: isFTRL ? 0 : 4))
    }
    #expect(layouts[0].gradientRules == .none)
  }

  @Test func rulesOfRowsReachTheLayoutsAndLimitsAreSharedAmongShards() {
    let model = TestModel.deep.changed {
      $0.tables[0].weights = .bf16
      $0.tables[0].admission = .minimumCount(3, sketchBytes: 128)
      $0.tables[0].maximumRows = 9
      $0.tables[0].timeToLiveMinutes = 77
      $0.slots[2].overrides = SlotOverrides(admission: .probability(0.5), timeToLiveMinutes: 0)
    }
    let layouts = model.tables.layouts
    #expect(layouts.map(\.name) == ["table0", "table1", "table0/tags", "dense"])
    #expect(model.tables.tableOfSlot == [0, 1, 2, 1] && model.tables.denseTable == 3)
    #expect(layouts.map(\.weightFormat) == [.bfloat16, .float32, .bfloat16, .float32])
    #expect(layouts[0].admission == .minimumCount(3, sketchBytes: 128))
    #expect(layouts[2].admission == .probability(0.5, seed: 1))
    #expect(layouts[0].expiry == Expiry(timeToLiveMinutes: 77, maximumRows: 9))
    #expect(layouts[2].expiry == Expiry(timeToLiveMinutes: nil, maximumRows: 9))
    #expect(layouts[1].expiry == .never && layouts[3].expiry == .never && layouts[1].admission == .everything)
    #expect(layouts[0].share(ofShards: 4).expiry == Expiry(timeToLiveMinutes: 77, maximumRows: 3))
    let server = model.server(of: ShardMap(shardCount: 4, serverCount: 1))
    #expect(server.hostedShards.map { $0.tables[0].layout.expiry.maximumRows } == [3, 3, 3, 3])
  }

  @Test func theAuditIsATableOfItsOwnBeforeTheDenseOne() throws {
    let tables = TestModel.deep.changed { $0.audit = true }.tables
    #expect(tables.layouts.map(\.name) == ["table0", "table1", "audit", "dense"])
    #expect(tables.auditTable == 2 && tables.slotTableCount == 2 && tables.denseTable == 3)
    #expect(TestModel.deep.tables.auditTable == nil && TestModel.deep.tables.slotTableCount == 2)
    let audit = tables.layouts[2]
    #expect(audit.width == 1 && audit.optimizer == .sgd(SGD(learningRate: 1)) && audit.gradientRules == .none)
    #expect(audit.admission == .everything && audit.expiry == .never && audit.weightFormat == .float32)
    // Half precision would stop counting at 2,048.
    #expect(
      tables.servingLayouts(weightFormat: .float16).map(\.weightFormat) == [.float16, .float16, .float32, .float32])
    let rare = tables.withAuditAdmission(.minimumCount(2, sketchBytes: 64))
    #expect(rare.layouts[2].admission == .minimumCount(2, sketchBytes: 64) && rare.layouts[2].width == 1)
    #expect(rare.layouts.map(\.name) == tables.layouts.map(\.name))
    var taken = TestModel.deep.spec
    taken.tables[1].name = "audit"
    _ = try ModelTables(taken)
    taken.audit = true
    #expect(throws: ClusterError.self) { try ModelTables(taken) }
  }

  @Test func aRowOfTheAuditCanBeAskedForByName() throws {
    let model = TestModel.audited
    let server = model.server(of: ShardMap(shardCount: 4, serverCount: 1))
    #expect(try server.row(table: "audit", fid: 5) == (weights: [0], exists: false))
    let epoch = server.claim(PartitionID(0)).epoch
    let map = ShardMap(shardCount: 4, serverCount: 1)
    let body = TestSection.push([TestSection(shard: map.shard(of: 5), table: 2, fids: [5], gradients: [-3])])
    #expect(try server.push(body, PartitionID(0), epoch, -1, 1) == .applied)
    #expect(try server.row(table: "audit", fid: 5) == (weights: [3], exists: true))
  }

  @Test func replicasKeepEmbeddingsInTheirFormatAndDenseTensorsAsTheyAre() {
    let formats = TestModel.deep.tables.servingLayouts(weightFormat: .float16).map(\.weightFormat)
    #expect(formats == [.float16, .float16, .float32])
  }
}
