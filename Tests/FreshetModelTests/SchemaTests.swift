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
    ("network.hidden", { $0.network.hidden = [] }),
    ("network.hidden[1]", { $0.network.hidden = [8, 0] }),
    ("network.hidden", { $0.network.kind = .fm }),
    ("slots[0].table", { $0.tables[0].dimension = 0 }),
    ("tasks", { $0.tasks = [] }),
    ("tasks[0].positive_if", { $0.tasks[0].positive = .valueAtLeast(.infinity) }),
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
    #expect(!changed { $0.network.hidden = [1] })
    #expect(!changed { $0.tables[0].dimension = 8 })
    #expect(!changed { $0.name = "other" })
    #expect(!changed { $0.slots[7].pooling = .sum })
  }
}
