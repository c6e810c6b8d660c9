import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire
import Testing

@testable import FreshetRoles

/// Requests find the fields of their user in a topic of its own.
@Suite struct ServeEnrichmentTests {
  private static let profile = ["gender=F", "age=25", "occupation=3", "zip=48067"]

  private static let model: ModelSpec = {
    var model = ModelSpec.movieLens
    model.enrichments = [EnrichmentSpec(name: "users", key: 0, topic: "users")]
    for field in 2...5 { model.fields[field].source = .enrichment(0) }
    // Rows that nobody has trained differ enough.
    model.tables[0].initialDeviation = 0.5
    return model
  }()

  private static func user(_ json: String?, key: String? = nil) -> ItemRecord {
    ItemRecord(
      source: .enrichment(0), partition: PartitionID(0), offset: Offset(0), key: key.map { Array($0.utf8) },
      value: json.map { Array($0.utf8) })
  }

  private func server() throws -> TrainedServer {
    let items = (1...30).map {
      ItemRecord(
        partition: PartitionID(0), offset: Offset(Int64($0)), key: nil,
        value: Array(#"{"item_id":\#($0),"year":\#(1990 + $0)}"#.utf8))
    }
    let server = try TrainedServer(Self.model, items: items, batchSize: 4, microBatchSize: 4)
    try server.synchronise()
    server.apply([Self.user(#"{"user_id":7,"gender":"F","age":25,"occupation":3,"zip":"48067","name":"x"}"#)])
    return server
  }

  private func scores(_ server: TrainedServer, _ fields: [String]) throws -> [Float] {
    let request = RESPRequest(["SCORE", "movielens"] + fields + ["CANDIDATES", "item_id", "1", "2", "3", "99"])
    let scored = try server.engine.score(request)
    return (0..<scored.count).map { server.engine.scores[$0] }
  }

  @Test func aRequestHasTheFieldsOfItsUser() throws {
    let server = try server()
    let known = try scores(server, ["user_id=7"])
    #expect(try known == scores(server, ["user_id=7"] + Self.profile))
    #expect(try known == scores(server, ["user_id=07"]))
    let json = RESPRequest([
      "SCOREJSON", "movielens",
      #"{"context":{"user_id":7},"candidates":[{"item_id":1},{"item_id":2},{"item_id":3},{"item_id":99}]}"#,
    ])
    let scored = try server.engine.scoreJSON(json)
    #expect((0..<scored.count).map { server.engine.scores[$0] } == known)
    #expect(server.engine.statistics.unknownEnrichments == 0)
  }

  @Test func whatTheRequestSaysStands() throws {
    let server = try server()
    let other = try scores(server, ["user_id=7", "gender=M"])
    #expect(try other == scores(server, ["user_id=7", "gender=M"] + Self.profile.dropFirst()))
    #expect(try other != scores(server, ["user_id=7"]))
  }

  @Test func usersThatAreNotKnownOrDeletedHaveNoFields() throws {
    let server = try server()
    let known = try scores(server, ["user_id=7"])
    server.apply([Self.user(nil, key: "7")])
    let deleted = try scores(server, ["user_id=7"])
    #expect(deleted != known)
    #expect(server.engine.statistics.unknownEnrichments == 1)
    server.apply([Self.user(#"{"user_id":7,"gender":"F","age":25,"occupation":3,"zip":"48067"}"#)])
    #expect(try scores(server, ["user_id=7"]) == known)
  }

  @Test func eachCandidateThatIsAUserHasItsOwnFields() throws {
    let server = try server()
    server.apply([Self.user(#"{"user_id":8,"gender":"M"}"#)])
    let request = RESPRequest(["SCORE", "movielens", "item_id=3", "CANDIDATES", "user_id", "7", "8", "9"])
    let scored = try server.engine.score(request)
    let together = (0..<scored.count).map { server.engine.scores[$0] }
    for (position, fields) in [["user_id=7"] + Self.profile, ["user_id=8", "gender=M"], ["user_id=9"]].enumerated() {
      #expect(try scores(server, fields)[2] == together[position])
    }
  }

  @Test func recommendationsAreThoseOfTheUsersFields() throws {
    let server = try server()
    func best(_ words: [String]) throws -> [String] {
      let recommendation = try server.engine.beginRecommendation(
        model: "movielens",
        fields: words.map { word in
          let parts = word.split(separator: "=")
          return RequestField(name: String(parts[0]), value: String(parts[1]))
        }, topK: 30, filters: [], exclude: [])
      while try !server.engine.advance(recommendation) {}
      return recommendation.result.map { "\($0)" }
    }
    #expect(try best(["user_id=7"]) == best(["user_id=7"] + Self.profile))
    #expect(try best(["user_id=7"]) != best(["user_id=7", "gender=M"]))
  }
}
