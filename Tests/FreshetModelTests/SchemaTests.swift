import FreshetCore
import FreshetModel
import Testing

@Suite struct SchemaTests {
  @Test func theMovieLensModelIsValid() throws { try ModelSpec.movieLens.validate() }

  static let mistakes: [(String, @Sendable (inout ModelSpec) -> Void)] = [
    ("name", { $0.name = "" }),
    ("fields", { $0.fields = [] }),
    ("fields[3].name", { $0.fields[3].name = "gender" }),
    ("fields[2].name", { $0.fields[2].name = "event_time" }),
    ("user_key", { $0.userKey = 99 }),
    ("item_key", { $0.itemKey = 6 }),
    ("item_key", { $0.itemKey = 0 }),
    ("user_key", { $0.fields[0].multi = true }),
    ("slots[4].index", { $0.slots[4].index = 3 }),
    ("slots[1].fields", { $0.slots[1].fields = [88] }),
    ("slots[1].fields", { $0.slots[1].fields = [] }),
    ("slots[1].fields", { $0.slots[1].fields = [2, 2] }),
    ("slots[2].name", { $0.slots[2].name = String(repeating: "n", count: 256) }),
    ("slots[2].name", { $0.slots[2].name = "a\0b" }),
    ("slots[5].table", { $0.slots[5].table = 1 }),
    ("slots[2].transform", { $0.slots[2].transform = .bucketize(boundaries: [1]) }),
    ("slots[3].transform.boundaries", { $0.slots[3].transform = .bucketize(boundaries: [1, 1]) }),
    (
      "slots[3].transform",
      { $0.slots[3] = SlotSpec(name: "c", index: 3, fields: [0, 1], transform: .prefix(characters: 1)) }
    ),
    ("slots[5].transform.prefix", { $0.slots[5].transform = .prefix(characters: 0) }),
    ("dense_features[0].field", { $0.denseFeatures = [DenseFeatureSpec(name: "d", field: 2)] }),
    (
      "dense_features[0].transform",
      { $0.denseFeatures = [DenseFeatureSpec(name: "d", field: 3, transform: .standardize(mean: 0, deviation: 0))] }
    ),
    ("tables[0].dimension", { $0.tables[0].dimension = 513 }),
    ("tables[0].optimizer.learning_rate", { $0.tables[0].optimizer = .sgd(learningRate: 0) }),
    ("tables[0].initial_deviation", { $0.tables[0].initialDeviation = .nan }),
    (
      "tables[0].optimizer.momentum",
      { $0.tables[0].optimizer = OptimizerSpec(.momentum(momentum: 1), learningRate: 1) }
    ),
    (
      "tables[0].optimizer.decay",
      { $0.tables[0].optimizer = OptimizerSpec(.rmsProp(decay: -0.1, epsilon: 1e-8), learningRate: 1) }
    ),
    (
      "network.optimizer.beta2",
      {
        // Rounds to 1 with 32 bits.
        $0.network.optimizer = OptimizerSpec(
          .adam(beta1: 0.9, beta2: 1 - 1e-12, epsilon: 1e-8), learningRate: 1)
      }
    ),
    ("tables[0].optimizer.beta", { $0.tables[0].optimizer = OptimizerSpec(.ftrl(beta: -1), learningRate: 1) }),
    ("tables[0].optimizer.l1", { $0.tables[0].optimizer.l1 = -1 }),
    ("tables[0].optimizer.l2", { $0.tables[0].optimizer.l2 = .nan }),
    ("tables[0].optimizer.clip_value", { $0.tables[0].optimizer.clipValue = 0 }),
    ("network.optimizer.clip_norm", { $0.network.optimizer.clipNorm = -.infinity }),
    ("tables[0].admission.minimum_count", { $0.tables[0].admission = .minimumCount(1, sketchBytes: 64) }),
    ("tables[0].admission.minimum_count", { $0.tables[0].admission = .minimumCount(256, sketchBytes: 64) }),
    ("tables[0].admission.sketch_bytes", { $0.tables[0].admission = .minimumCount(2, sketchBytes: 63) }),
    ("tables[0].admission.probability", { $0.tables[0].admission = .probability(1) }),
    ("tables[0].expiry.time_to_live_minutes", { $0.tables[0].timeToLiveMinutes = 0 }),
    ("tables[0].maximum_rows", { $0.tables[0].maximumRows = 0 }),
    ("slots[1].learning_rate", { $0.slots[1].overrides.learningRate = 0 }),
    ("slots[1].admission.probability", { $0.slots[1].overrides.admission = .probability(0) }),
    ("slots[1].expiry.time_to_live_minutes", { $0.slots[1].overrides.timeToLiveMinutes = .max }),
    ("slots[7].max_length", { $0.slots[7].maximumLength = 0 }),
    ("slots[7].max_length", { $0.slots[7].maximumLength = 256 }),
    ("network.cross_layers", { $0.network.crossLayers = 1 }),
    ("network.cross_rank", { $0.network.crossRank = 1 }),
    ("network.experts", { $0.network.experts = 2 }),
    ("network.expert_hidden", { $0.network.expertHidden = [2] }),
    ("network.tower_hidden", { $0.network.towerHidden = [2] }),
    ("network.cross_layers", { $0.network = NetworkSpec(kind: .dcn, crossLayers: 0) }),
    ("network.cross_layers", { $0.network = NetworkSpec(kind: .dcn, crossLayers: 9) }),
    ("network.cross_rank", { $0.network = NetworkSpec(kind: .dcn, crossLayers: 1, crossRank: 0) }),
    ("network.hidden", { $0.network = NetworkSpec(kind: .towers, towerHidden: [2]) }),
    ("network.tower_hidden", { $0.network = NetworkSpec(kind: .towers, hidden: [2]) }),
    ("network.hidden", { $0.network = NetworkSpec(kind: .mmoe, hidden: [2], experts: 2, expertHidden: [2]) }),
    ("network.expert_hidden", { $0.network = NetworkSpec(kind: .mmoe, experts: 2) }),
    ("network.expert_hidden[0]", { $0.network = NetworkSpec(kind: .mmoe, experts: 2, expertHidden: [4097]) }),
    ("network.experts", { $0.network = NetworkSpec(kind: .mmoe, experts: 1, expertHidden: [2]) }),
    (
      "network",
      {
        $0.tables[0].dimension = 512
        $0.slots += (8..<256).map { SlotSpec(name: "s\($0)", index: $0, fields: [0]) }
        $0.network = NetworkSpec(kind: .dcn, crossLayers: 1)
      }
    ),
    ("network.hidden", { $0.network.hidden = [] }),
    ("network.hidden[1]", { $0.network.hidden = [8, 0] }),
    ("network.hidden", { $0.network.kind = .fm }),
    ("network.fm_slots", { $0.tables[0].dimension = 0 }),
    ("network.fm_slots", { $0 = mixed($0, NetworkSpec(kind: .fm)) }),
    ("network.fm_slots", { $0.network.factorizedSlots = [0, 8] }),
    ("network.fm_slots", { $0.network.factorizedSlots = [1] }),
    ("network.fm_slots", { $0.network.factorizedSlots = [0, 1, 0] }),
    ("network.fm_slots", { $0 = mixed($0, NetworkSpec(kind: .fm, factorizedSlots: [0, 2, 3])) }),
    ("network.fm_slots", { $0.network = NetworkSpec(kind: .dcn, factorizedSlots: [0, 1], crossLayers: 1) }),
    (
      "network.kind",
      {
        $0.tables[0].dimension = 0
        $0.network = NetworkSpec(kind: .dcn, crossLayers: 1)
      }
    ),
    ("tasks", { $0.tasks = [] }),
    ("tasks[0].positive_if_at_least", { $0.tasks[0].positive = .valueAtLeast(.infinity) }),
  ]

  @Test(arguments: mistakes)
  func aMistakeIsReportedWithThePathOfItsKey(path: String, change: @Sendable (inout ModelSpec) -> Void) throws {
    var spec = ModelSpec.movieLens
    change(&spec)
    do {
      try spec.validate()
      Issue.record("accepted")
    } catch {
      #expect(error.path == path)
      #expect(error.message.hasPrefix(path + ": "))
    }
  }

  /// With slots of dimension 16, 4 and 0.
  static func mixed(_ spec: ModelSpec, _ network: NetworkSpec) -> ModelSpec {
    var spec = spec
    spec.tables += [TableSpec(name: "short", dimension: 4), TableSpec(name: "linear", dimension: 0)]
    (spec.slots[3].table, spec.slots[4].table, spec.slots[7].table) = (1, 1, 2)
    spec.network = network
    return spec
  }

  @Test(arguments: [
    NetworkSpec(kind: .logistic), NetworkSpec(kind: .fm, factorizedSlots: [1, 0, 2]),
    NetworkSpec(kind: .deepFM, factorizedSlots: [3, 4], hidden: [8]), NetworkSpec(kind: .dcn, crossLayers: 1),
    NetworkSpec(kind: .towers, hidden: [8], towerHidden: [4]),
    NetworkSpec(kind: .mmoe, experts: 2, expertHidden: [4]),
  ])
  func slotsMayHaveTablesOfDifferentDimensions(network: NetworkSpec) throws {
    let spec = Self.mixed(.movieLens, network)
    try spec.validate()
    let shape = NetworkShape(spec)
    #expect(shape.factors == [16, 16, 16, 4, 4, 16, 16, 0])
    #expect(shape.vectorWidth == 88 && shape.vectorOffsets == [0, 16, 32, 48, 52, 56, 72, 88, 88])
    #expect(shape.factorizedSlots == network.factorizedSlots?.sorted() ?? [])
  }

  @Test func aMachineOverSlotsOfDifferentDimensionsIsToldOfBoth() {
    let error = #expect(throws: SchemaError.self) {
      try Self.mixed(.movieLens, NetworkSpec(kind: .fm)).validate()
    }
    let message = error?.message ?? ""
    #expect(message.contains("`user_id` has dimension 16 (table `embeddings`)"), "\(message)")
    #expect(message.contains("`age` has dimension 4 (table `short`)"), "\(message)")
  }

  /// Examples that were written before must stay readable.
  @Test func theFingerprintOfTheMovieLensModelIsWhatItWas() {
    #expect(ModelSpec.movieLens.fingerprint == 245_232_961)
  }

  @Test func theFingerprintChangesWithTheMeaningOfExamplesOnly() {
    let original = ModelSpec.movieLens.fingerprint
    func changed(_ change: (inout ModelSpec) -> Void) -> Bool {
      var spec = ModelSpec.movieLens
      change(&spec)
      return spec.fingerprint != original
    }
    #expect(changed { $0.slots[5].transform = .prefix(characters: 3) })
    #expect(changed { $0.slots[0].name = "uid" })
    #expect(changed { $0.fields[2].type = .integer })
    #expect(changed { $0.tasks[0].positive = .valueAtLeast(3) })
    #expect(changed { $0.slots.swapAt(0, 1) })
    #expect(changed { $0.denseFeatures = [DenseFeatureSpec(name: "a", field: 3)] })
    #expect(changed { $0.slots[7].maximumLength = 3 })
    #expect(!changed { $0.network.hidden = [1] })
    #expect(!changed { $0.network = NetworkSpec(kind: .mmoe, experts: 2, expertHidden: [2]) })
    #expect(!changed { $0.tables[0].dimension = 8 })
    #expect(!changed { $0 = Self.mixed($0, NetworkSpec(kind: .fm, factorizedSlots: [0, 1])) })
    #expect(!changed { $0.name = "other" })
    #expect(!changed { $0.slots[7].pooling = .sum })
    #expect(!changed { $0.slots[7].overrides.learningRate = 1 })
  }
}
