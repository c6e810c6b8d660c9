import Foundation
import FreshetCore
import FreshetModel
import Testing

@testable import FreshetRoles

/// What a replica remembers of a promotion, and what a candidate's configuration says to it.
@Suite struct PromotionRecordTests {
  private func inTemporaryDirectory(_ body: (String) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "promotion-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
  }

  private func configuration(_ overrides: [String: String] = [:]) throws -> FreshetConfiguration {
    try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: overrides, environment: [:])
  }

  @Test func aRecordIsReadAsItWasWritten() throws {
    try inTemporaryDirectory { path in
      let directory = try StateDirectory(path)
      #expect(try PromotionRecord(from: directory) == nil)
      let record = PromotionRecord(configured: "m version 1 of a:1", promoted: "model:\n  name: m\n\n")
      try record.write(to: directory)
      #expect(try PromotionRecord(from: directory) == record)
      try PromotionRecord.remove(from: directory)
      #expect(try PromotionRecord(from: directory) == nil)
      try "something".write(toFile: path + "/promotion", atomically: true, encoding: .utf8)
      let error = #expect(throws: FileStoreError.self) { try PromotionRecord(from: directory) }
      #expect(error?.message.contains("\(path)/promotion is not a record") == true)
    }
  }

  @Test func oneProcessHasADirectoryAndCopiesOfPromotedModelsGoWithThem() throws {
    try inTemporaryDirectory { path in
      let directory = try StateDirectory(path)
      #expect(throws: FileStoreError.self) { try StateDirectory(path) }
      let files = FileManager.default
      func write(_ name: String) throws {
        let place = "\(path)/\(name)"
        try files.createDirectory(
          atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try "x".write(toFile: place, atomically: true, encoding: .utf8)
      }
      for name in ["version-2/a", "version-3/a", "version-22/a", "own"] { try write(name) }
      try directory.discardPromoted(but: 2)
      func exists(_ name: String) -> Bool { files.fileExists(atPath: "\(path)/\(name)") }
      #expect(exists("version-2/a") && exists("own"))
      #expect(!exists("version-3/a") && !exists("version-22/a"))
      try directory.promoted(version: 2).discard()
      try directory.discard()
      #expect(!exists("version-2/a") && exists("own"))
    }
  }

  @Test func theTextOfAModelHasTheModelItsServersAndTopicsAndNothingElse() throws {
    let candidate = try configuration([
      "model.version": "2", "model.tables.embedding.dimension": "8", "cluster.servers": "b:1,b:2",
      "cluster.shards": "8",
      "kafka.topics.items": "things", "cluster.password": "secret", "kafka.bootstrap_servers": "elsewhere:1",
    ])
    let text = candidate.modelText
    #expect(!text.contains("secret") && !text.contains("password") && !text.contains("elsewhere"))
    let own = try configuration(["cluster.password": "own", "serve.port": "7"])
    let both = own.serving(try .parse(modelText: text, source: "candidate"))
    #expect(both.model == candidate.model && both.model.version == 2)
    #expect(both.cluster.servers == candidate.cluster.servers && both.cluster.shards == 8)
    #expect(both.kafka.topics.items == "things")
    #expect(both.cluster.password == "own" && both.serving.port == 7)
    #expect(both.kafka.bootstrapServers == own.kafka.bootstrapServers)
    #expect(both.modelDescription == "movielens version 2 of b:1,b:2")
    // What is promoted can be told from what is served, and promoted again from there.
    #expect(try own.serving(.parse(modelText: both.modelText, source: "again")).isSameModel(as: candidate))
    #expect(!both.isSameModel(as: own))
  }

  @Test func aModelCanTakeAnothersPlaceIfItUnderstandsTheSameRequests() {
    let live = ServeFixture.model
    var other = live
    other.network.hidden = [3]
    other.fields.append(FieldSpec(name: "more"))
    other.tasks.append(TaskSpec(name: "share", action: "share", positive: .presence))
    #expect(other.obstacles(toReplacing: live).isEmpty)
    #expect(live.obstacles(toReplacing: other) == ["it has no field more", "it has no task share"])

    func obstacles(_ change: (inout ModelSpec) -> Void) -> [String] {
      var model = live
      change(&model)
      return model.obstacles(toReplacing: live)
    }
    #expect(obstacles { $0.name = "x" } == ["its name is x, and clients ask for shop"])
    #expect(obstacles { $0.fields[3].type = .string } == ["its field age is of type string, not integer"])
    #expect(obstacles { $0.fields[5].multi = false } == ["its field tags takes one value"])
    #expect(obstacles { $0.fields[6].source = .request } == ["its field year is the request's"])
    #expect(obstacles { $0.itemKey = 0 } == ["its item_key is user_id, not item_id"])
    #expect(
      obstacles { $0.tasks.reverse() } == ["its first task, which the name alone asks for, is buy, not click"])
  }
}
