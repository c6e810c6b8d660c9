import Foundation
import FreshetCore
import FreshetModel
import Testing

@testable import FreshetRoles

@Suite struct ConfigurationTests {
  static var shipped: String {
    get throws {
      let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
      return try String(contentsOf: root.appendingPathComponent("Config/cluster.yaml"), encoding: .utf8)
    }
  }

  func parse(
    _ text: String, _ overrides: [String: String] = [:], environment: [String: String] = [:]
  ) throws -> FreshetConfiguration {
    try FreshetConfiguration.parse(text, file: "c.yaml", overrides: overrides, environment: environment)
  }

  @Test func theShippedFileIsTheMovieLensModel() throws {
    let configuration = try parse(Self.shipped)
    #expect(configuration.model.fingerprint == ModelSpec.movieLens.fingerprint)
    #expect(configuration.cluster.map == ShardMap(shardCount: 16, serverCount: 2))
    #expect(configuration.trainer.batchSize == 128)
  }

  @Test func theJoinersModesAreRead() throws {
    let plain = try parse(Self.shipped).joiner
    #expect(plain.emit == .onAction && plain.lateActions == .deadLetter && plain.correctionMs == 0)
    #expect(plain.maxAheadMs == 86_400_000)
    let other = try parse(
      Self.shipped,
      [
        "joiner.emit": "at-window-end", "joiner.late_actions": "correct", "joiner.correction_ms": "1000",
        "joiner.max_ahead_ms": "0",
      ]
    ).joiner
    #expect(other.emit == .atWindowEnd && other.lateActions == .correct && other.correctionMs == 1000)
    #expect(other.maxAheadMs == 0)
    let error = #expect(throws: ConfigurationError.self) { try parse(Self.shipped, ["joiner.correction_ms": "1"]) }
    #expect(error?.message.contains("joiner.correction_ms: has no meaning without") == true)
  }

  @Test func aTaskHasOneRule() throws {
    func tasks(_ rule: String) throws -> [TaskSpec] {
      try parse(Self.shipped.replacing("positive_if_at_least: 4", with: rule)).model.tasks
    }
    #expect(try tasks("positive_if_dwell_ms: 30000").map(\.positive) == [.dwellAtLeast(milliseconds: 30_000)])
    for (rule, reason) in [
      ("positive_if_dwell_ms: 0", "0 is outside 1...2592000000"),
      ("positive_if_dwell_ms: 5, positive_if_at_least: 4", "a task has one rule"),
    ] {
      let error = #expect(throws: ConfigurationError.self) { try tasks(rule) }
      #expect(error?.message.contains("positive_if_dwell_ms") == true && error?.message.contains(reason) == true)
    }
  }

  @Test func enrichmentsHaveKeysAndTopics() throws {
    func parsed(_ enrichments: String, source: String = "users") throws -> FreshetConfiguration {
      try parse(
        Self.shipped.replacing("  item_key: item_id\n", with: "  item_key: item_id\n  enrichments: \(enrichments)\n")
          .replacing("    gender: {}\n    age: {type", with: "    gender: {source: \(source)}\n    age: {type"))
    }
    let configuration = try parsed("{users: {key: user_id}, zips: {key: zip, topic: places}}")
    #expect(
      configuration.model.enrichments == [
        EnrichmentSpec(name: "users", key: 0, topic: "users"), EnrichmentSpec(name: "zips", key: 5, topic: "places"),
      ])
    #expect(configuration.model.fields[2].source == .enrichment(0))
    #expect(configuration.kafka.topics.enrichments == ["users", "places"])
    let again = try parse(configuration.effectiveYAML)
    #expect(again.model == configuration.model && again.effectiveYAML == configuration.effectiveYAML)
    for (enrichments, source, reason) in [
      ("{users: {key: user_id, topic: items}}", "users", "`items` is another topic's name"),
      ("{users: {key: nobody}}", "users", "`nobody` is not among model.fields"),
      ("{users: {key: item_id}}", "users", "is the item key"),
      ("{users: {key: user_id}}", "stores", "`stores` is none of request, item, users"),
      ("{users: {}}", "users", "key: is required"),
    ] {
      let error = #expect(throws: ConfigurationError.self) { try parsed(enrichments, source: source) }
      #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }
  }

  @Test func whatIsPrintedReadsBackAsTheSameConfiguration() throws {
    let configuration = try parse(Self.shipped)
    let again = try parse(configuration.effectiveYAML)
    #expect(again.model == configuration.model)
    #expect(again.effectiveYAML == configuration.effectiveYAML)
  }

  @Test func anUnknownKeyIsNamedWithItsLineAndTheNearestOne() throws {
    let text = try Self.shipped.replacing("batch_size: 128", with: "batchsize: 32")
    let line =
      text.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains("batchsize:") }! + 1
    let error = #expect(throws: ConfigurationError.self) { try parse(text) }
    #expect(error?.message == "c.yaml:\(line): trainer.batchsize: unknown key; did you mean `batch_size`?")
  }

  @Test(arguments: [
    ("batch_size: 128", "batch_size: many", "trainer.batch_size: `many` is not an integer"),
    ("batch_size: 128", "batch_size: 0", "trainer.batch_size: 0 is outside 1...65536"),
    (
      "kind: deepfm", "kind: transformer",
      "model.network.kind: `transformer` is none of logistic, fm, deepFM, dcn, towers, mmoe"
    ),
    ("user_key: user_id", "user_key: nobody", "model.user_key: `nobody` is not among model.fields"),
    ("[\"127.0.0.1:7100\", \"127.0.0.1:7101\"]", "[nowhere]", "cluster.servers: `nowhere` is not host:port"),
    ("partitions: 4", "partitions: [4]", "kafka.partitions: must be one plain value"),
    ("name: movielens", "name: [", "c.yaml:"),
  ])
  func mistakesAreNamed(original: String, mistake: String, expected: String) throws {
    let text = try Self.shipped.replacing(original, with: mistake)
    let error = #expect(throws: ConfigurationError.self) { try parse(text) }
    #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
    #expect(error?.message.hasPrefix("c.yaml:") == true)
  }

  @Test func overridesStandAboveTheFileAndUnknownOnesAreRefused() throws {
    let configuration = try parse(
      Self.shipped, ["trainer.batch_size": "7", "cluster.servers": "a:1,b:2,c:3"])
    #expect(configuration.trainer.batchSize == 7)
    #expect(configuration.cluster.servers.map(\.description) == ["a:1", "b:2", "c:3"])
    let error = #expect(throws: ConfigurationError.self) { try parse(Self.shipped, ["trainer.batch": "7"]) }
    #expect(error?.message == "--set: trainer.batch: unknown key; did you mean `trainer.batch_size`?")
  }

  @Test func everyValueTellsWhereItComesFrom() throws {
    let directory = FileManager.default.temporaryDirectory.path + "/freshet-configuration-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let file = directory + "/c.yaml"
    try Self.shipped.write(toFile: file, atomically: true, encoding: .utf8)
    let lines = try Self.shipped.split(separator: "\n", omittingEmptySubsequences: false)
    let line = try #require(lines.firstIndex { $0.contains("  batch_size: 128") }) + 1
    let configuration = try FreshetConfiguration.load(
      file: file, overrides: ["trainer.micro_batch_size": "2", "cluster.password": "hunter2"],
      environment: ["FRESHET_SERVERS": "a:1,b:2", "AWS_REGION": "here", "FRESHET_PASSWORD": "other"])
    let origins = Dictionary(uniqueKeysWithValues: configuration.effective.map { ($0.name, $0.origin) })
    #expect(origins["trainer.batch_size"] == .file(file, line: line))
    #expect(origins["trainer.micro_batch_size"] == .option && origins["cluster.password"] == .option)
    #expect(origins["cluster.servers"] == .environment("FRESHET_SERVERS"))
    #expect(origins["snapshot.s3.region"] == .environment("AWS_REGION"))
    #expect(origins["archive.group"] == .standard && origins["trainer.guard.maximum_logloss"] == .standard)

    let text = configuration.annotatedYAML
    for (value, origin) in [
      ("  batch_size: 128 ", "\(file):\(line)"), ("  micro_batch_size: 2 ", "--set"),
      ("  password: \"(hidden)\" ", "--set"),
      ("  servers: [a:1, b:2] ", "FRESHET_SERVERS"), ("    region: here ", "AWS_REGION"),
      ("    port: 7200 ", "default"),
    ] {
      let found = text.split(separator: "\n").contains { line in
        line.hasPrefix(value.hasPrefix("    port") ? String(value.dropFirst(2)) : value)
          && line.hasSuffix("# " + origin)
      }
      #expect(found, "\(value) \(origin)\n\(text)")
    }
    #expect(try parse(text).effectiveYAML == configuration.effectiveYAML, "comments change nothing")

    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(configuration.annotatedJSON.utf8)) as? [String: [String: Any]])
    #expect(json.count == configuration.effective.count)
    #expect(json["trainer.batch_size"]?["value"] as? Int == 128 && json["trainer.batch_size"]?["line"] as? Int == line)
    #expect(json["trainer.batch_size"]?["from"] as? String == "file")
    #expect(json["cluster.servers"]?["value"] as? [String] == ["a:1", "b:2"])
    #expect(json["cluster.servers"]?["variable"] as? String == "FRESHET_SERVERS")
    #expect(json["joiner.negatives"]?["value"] as? Bool == false && json["snapshot.store"]?["value"] is NSNull)
    #expect(json["joiner.negative_rate"]?["value"] as? Double == 1)
    #expect(json["trainer.micro_batch_size"]?["from"] as? String == "option")
  }

  @Test(arguments: [
    ("kind: deepfm", "kind: deepfn", "did you mean `deepFM`?"),
    ("user_key: user_id", "user_key: user_ids", "did you mean `user_id`?"),
    ("zip: {prefix: 2}", "zip: {prefx: 2}", "did you mean `prefix`?"),
    ("batch_size: 128", "batch: 128", "did you mean `batch_size`?"),
    ("trainer:\n", "traner:\n", "did you mean `trainer`?"),
    ("year: {type: integer, source: item}", "year: {type: integr, source: item}", "did you mean `integer`?"),
    ("year: {type: integer, source: item}", "year: {type: integer, source: items}", "did you mean `item`?"),
  ])
  func whatWasMistypedIsSuggested(original: String, mistake: String, expected: String) throws {
    let text = try Self.shipped.replacing(original, with: mistake, maxReplacements: 1)
    let error = #expect(throws: ConfigurationError.self) { try parse(text) }
    #expect(error?.message.hasSuffix(expected) == true, "\(error?.message ?? "")")
  }

  /// The shipped file with other text for its table, its first slot and its network's optimizer.
  func model(table: String = "", slot: String = "", optimizer: String? = nil) throws -> ModelSpec {
    var text = try Self.shipped
    text = text.replacing("      seed: 1\n", with: "      seed: 1\n      \(table)\n")
    text = text.replacing("    user_id: {}\n", with: "    user_id: {\(slot)}\n")
    if let optimizer {
      text = text.replacing(
        "optimizer: {kind: adagrad, learning_rate: 0.03, initial_accumulator: 0, epsilon: 1.0e-8}",
        with: "optimizer: {\(optimizer)}")
    }
    let configuration = try parse(text)
    #expect(try parse(configuration.effectiveYAML).model == configuration.model, "printed and read back")
    return configuration.model
  }

  static let optimizers: [(String, OptimizerSpec)] = [
    ("kind: sgd", OptimizerSpec(.sgd, learningRate: 0.05)),
    ("kind: momentum", OptimizerSpec(.momentum(momentum: 0.9), learningRate: 0.01)),
    ("kind: momentum, momentum: 0.5", OptimizerSpec(.momentum(momentum: 0.5), learningRate: 0.01)),
    ("kind: adagrad", .standard),
    ("kind: rmsprop", OptimizerSpec(.rmsProp(decay: 0.9, epsilon: 1e-8), learningRate: 0.001)),
    ("kind: rmsprop, decay: 0.8, epsilon: 0.1", OptimizerSpec(.rmsProp(decay: 0.8, epsilon: 0.1), learningRate: 0.001)),
    ("kind: adam", OptimizerSpec(.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), learningRate: 0.001)),
    (
      "kind: adam, beta1: 0.8, beta2: 0.95, epsilon: 0.1, learning_rate: 2",
      OptimizerSpec(.adam(beta1: 0.8, beta2: 0.95, epsilon: 0.1), learningRate: 2)
    ),
    ("kind: ftrl", OptimizerSpec(.ftrl(beta: 1), learningRate: 0.05)),
    (
      "kind: ftrl, beta: 2, l1: 3, l2: 4, clip_value: 5, clip_norm: 6",
      OptimizerSpec(.ftrl(beta: 2), learningRate: 0.05, l1: 3, l2: 4, clipValue: 5, clipNorm: 6)
    ),
    (
      "kind: sgd, l1: 3, l2: 4, clip_value: 5, clip_norm: 6",
      OptimizerSpec(.sgd, learningRate: 0.05, l1: 3, l2: 4, clipValue: 5, clipNorm: 6)
    ),
  ]

  @Test(arguments: optimizers)
  func everyOptimizerIsReadWithItsKeysAndDefaults(text: String, expected: OptimizerSpec) throws {
    #expect(try model(optimizer: text).network.optimizer == expected)
  }

  @Test func rulesOfTablesAndOverridesOfSlotsAreRead() throws {
    let plain = try model()
    #expect(plain.tables[0].weights == .fp32 && plain.tables[0].admission == .everything)
    #expect(plain.tables[0].timeToLiveMinutes == nil && plain.tables[0].maximumRows == nil)
    #expect(plain.slots.allSatisfy { $0.overrides == .none })
    let spec = try model(
      table: "weights: bf16\n      maximum_rows: 5000\n      expiry: {time_to_live_minutes: 90}\n"
        + "      admission: {minimum_count: 3}",
      slot: "learning_rate: 0.5, admission: {probability: 0.25}, expiry: {time_to_live_minutes: 0}")
    let table = spec.tables[0]
    #expect(table.weights == .bf16 && table.maximumRows == 5000 && table.timeToLiveMinutes == 90)
    #expect(table.admission == .minimumCount(3, sketchBytes: 262_144))
    #expect(
      spec.slots[0].overrides
        == SlotOverrides(learningRate: 0.5, admission: .probability(0.25), timeToLiveMinutes: 0))
    #expect(spec.rowTables.tables.map(\.name) == ["embedding", "embedding/user_id"])
    #expect(try model(slot: "admission: {minimum_count: 1}").slots[0].overrides.admission == .everything)
    #expect(
      try model(table: "admission: {minimum_count: 9, sketch_bytes: 640}").tables[0].admission
        == .minimumCount(9, sketchBytes: 640))
  }

  @Test func replicasKeepTheWeightsThatTheFileSays() throws {
    #expect(try parse(Self.shipped).serving.weights == .float32)
    #expect(try parse(Self.shipped, ["serve.weights": "fp16"]).serving.weights == .float16)
  }

  static let mistakesOfTables: [(table: String, slot: String, expected: String)] = [
    (
      "admission: {minimum_count: 2, probability: 0.5}", "",
      "model.tables.embedding.admission.probability: cannot stand beside `minimum_count`"
    ),
    ("admission: {minimum_count: 256}", "", "model.tables.embedding.admission.minimum_count: 256 is outside 1...255"),
    ("admission: {sketch_bytes: 64}", "", "model.tables.embedding.admission.sketch_bytes: needs `minimum_count`"),
    ("admission: {probability: 0}", "", "model.tables.embedding.admission.probability: 0.0 is outside"),
    ("expiry: {time_to_live_hours: 1}", "", "model.tables.embedding.expiry.time_to_live_hours: unknown key"),
    ("maximum_rows: 0", "", "model.tables.embedding.maximum_rows: 0 is outside"),
    ("weights: fp8", "", "model.tables.embedding.weights: `fp8` is none of fp32, fp16, bf16"),
    ("", "learning_rate: -1", "model.slots.user_id.learning_rate: -1.0 is outside"),
    ("", "admission: {count: 2}", "model.slots.user_id.admission.count: unknown key"),
  ]

  @Test(arguments: mistakesOfTables)
  func mistakesInTheRulesOfRowsAreNamed(table: String, slot: String, expected: String) {
    let error = #expect(throws: ConfigurationError.self) { try model(table: table, slot: slot) }
    #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
  }

  @Test func aKeyOfAnotherOptimizerIsUnknown() {
    let error = #expect(throws: ConfigurationError.self) {
      try model(optimizer: "kind: adam, initial_accumulator: 0.1")
    }
    #expect(error?.message.contains("model.network.optimizer.initial_accumulator: unknown key") == true)
  }

  @Test func secretsAreHiddenAndDottedKeysStayWhole() throws {
    let configuration = try parse(
      Self.shipped,
      [
        "cluster.password": "hunter2", "kafka.properties.sasl.password": "hunter3",
        "kafka.properties.client.rack": "r1",
      ])
    #expect(configuration.cluster.password == "hunter2")
    #expect(configuration.kafka.properties == ["sasl.password": "hunter3", "client.rack": "r1"])
    #expect(!configuration.effectiveYAML.contains("hunter"))
    #expect(!configuration.settings.values.contains { $0.contains("hunter") })
    #expect(configuration.effectiveYAML.contains("    client.rack: r1\n"))
    #expect(try parse(configuration.effectiveYAML).kafka.properties["client.rack"] == "r1")
  }

  @Test func theAuditIsOffUnlessAskedFor() throws {
    let shipped = try parse(Self.shipped)
    let audited = try parse(Self.shipped, ["model.audit": "true"])
    #expect(!shipped.model.audit && audited.model.audit)
    #expect(audited.model.fingerprint == shipped.model.fingerprint, "examples are the same")
    #expect(audited.effectiveYAML.contains("\n  audit: true\n"))
  }

  @Test func whatFitsTogetherOnlyApartIsAConfigurationErrorToo() throws {
    let text = try Self.shipped.replacing("embedding:", with: "dense:")
    let error = #expect(throws: ConfigurationError.self) { try parse(text) }
    #expect(error?.message.contains("dense") == true)
    #expect(throws: ConfigurationError.self) {
      try parse(Self.shipped.replacing("embedding:", with: "audit:"), ["model.audit": "true"])
    }
    let unknown = #expect(throws: ConfigurationError.self) {
      try parse(Self.shipped, ["kafka.properties.no.such.property": "1"])
    }
    #expect(unknown?.message.contains("no.such.property") == true)
  }
}
