import FreshetCluster
import FreshetCore
import FreshetWire
import Testing

@testable import FreshetRoles

@Suite struct ServeScoreTests {
  @Test func scoresEqualAReferenceComputedFromRowDumps() throws {
    let fixture = try ServeFixture.ready()
    let reference = ServeReference(fixture: fixture)
    let items = [3, 40, 1, 25, 7]
    for (task, name) in ["shop", "shop:buy"].enumerated() {
      let scores = try fixture.scores(
        "SCORE \(name) \(ServeReference.context) CANDIDATES item_id \(items.map(String.init).joined(separator: " "))")
      #expect(scores.count == items.count)
      for (item, score) in zip(items, scores) {
        let expected = try reference.probability(
          fids: reference.fids(user: 2, item: item, genres: ServeReference.genres(ofItem: item)),
          dense: ServeReference.dense(ofItem: item), task: task)
        #expect(abs(score - expected) < 1e-5, "item \(item) task \(task)")
      }
      #expect(Set(scores).count == items.count)
    }
  }

  @Test func aRequestWithoutCandidatesIsAnsweredWithOneDouble() throws {
    let fixture = try ServeFixture.ready()
    let one = try fixture.ask("SCORE shop \(ServeReference.context) item_id=3")
    let many = try fixture.scores("SCORE shop \(ServeReference.context) CANDIDATES item_id 3")
    #expect(one.elements == nil)
    #expect(one.double == many[0])
  }

  @Test func unknownUsersAndItemsScoreFromWhatIsKnownAndAreCounted() throws {
    let fixture = try ServeFixture.ready()
    let reference = ServeReference(fixture: fixture)
    let before = fixture.engine.scorer.unknownFids
    let scores = try fixture.scores(
      "SCORE shop user_id=777 gender=F age=25 zip=48067 tags=x|y CANDIDATES item_id 3 888")
    let known = try reference.probability(
      fids: reference.fids(user: 777, item: 3, genres: ServeReference.genres(ofItem: 3)),
      dense: ServeReference.dense(ofItem: 3), task: 0)
    let unknown = try reference.probability(
      fids: reference.fids(user: 777, item: 888, genres: []), dense: [0.25], task: 0)
    #expect(abs(scores[0] - known) < 1e-5)
    #expect(abs(scores[1] - unknown) < 1e-5)
    #expect(fixture.engine.statistics.unknownUsers == 1)
    #expect(fixture.engine.statistics.unknownItems == 1)
    #expect(fixture.engine.scorer.unknownFids == before + 2)
  }

  @Test func jsonAndFieldsGiveTheSameBits() throws {
    let fixture = try ServeFixture.ready()
    let fields = try fixture.scores("SCORE shop \(ServeReference.context) CANDIDATES item_id 9 2 888 31")
    let json = try fixture.scores(
      json: """
        {"context":{"user_id":2,"gender":"F","age":25,"zip":"48067","tags":["x","y"],"request_id":"r","event_time":5},
         "candidates":[{"item_id":9},{"item_id":"2"},{"item_id":888.0},{"item_id":31}]}
        """)
    #expect(fields.map(\.bitPattern) == json.map(\.bitPattern))
    let single = try fixture.ask(["SCOREJSON", "shop", #"{"context":{"user_id":2,"item_id":9}}"#])
    #expect(single.double == (try fixture.scores("SCORE shop user_id=2 item_id=9"))[0])
    #expect(try fixture.ask(["SCOREJSON", "shop", #"{"candidates":[]}"#]) == .array([]))
  }

  @Test func anyFieldMayBeTheCandidates() throws {
    let fixture = try ServeFixture.ready()
    let ages = try fixture.scores("SCORE shop user_id=2 gender=F item_id=4 CANDIDATES age 10 25 40 60")
    for (age, score) in zip([10, 25, 40, 60], ages) {
      #expect(try fixture.scores("SCORE shop user_id=2 gender=F item_id=4 age=\(age)")[0].isNear(score))
    }
    #expect(Set(ages).count == 4)
    let json = try fixture.scores(
      json: """
        {"context":{"user_id":2,"gender":"F","item_id":4},"candidates":[{"age":10},{"age":25},{"age":40},{"age":60}]}
        """)
    #expect(json.map(\.bitPattern) == ages.map(\.bitPattern))
  }

  @Test func whatARequestSaysOfAnItemStandsAboveTheCatalog() throws {
    let fixture = try ServeFixture.ready()
    let reference = ServeReference(fixture: fixture)
    let said = try fixture.scores("SCORE shop \(ServeReference.context) genres=g6 CANDIDATES item_id 4 888")
    for (score, item, dense) in [(said[0], 4, ServeReference.dense(ofItem: 4)), (said[1], 888, [0.25])] {
      let expected = try reference.probability(
        fids: reference.fids(user: 2, item: item, genres: ["g6"]), dense: dense, task: 0)
      #expect(abs(score - expected) < 1e-5)
    }
    let years = try fixture.scores("SCORE shop \(ServeReference.context) item_id=4 CANDIDATES year 1970 2000")
    for (score, year) in zip(years, [1970.0, 2000]) {
      let expected = try reference.probability(
        fids: reference.fids(user: 2, item: 4, genres: ServeReference.genres(ofItem: 4)), dense: [(year - 1990) / 10],
        task: 0)
      #expect(abs(score - expected) < 1e-5)
    }
    let json = try fixture.scores(
      json: """
        {"context":{"user_id":2,"gender":"F","age":25,"zip":"48067","tags":["x","y"]},
         "candidates":[{"item_id":4,"genres":["g6"]},{"item_id":888,"genres":["g6"]}]}
        """)
    #expect(json.map(\.bitPattern) == said.map(\.bitPattern))
  }

  @Test func wrongRequestsAreRefusedWithWhatIsWrong() throws {
    let fixture = try ServeFixture.ready(maxCandidates: 3)
    let expected: [(String, String)] = [
      ("SCORE nothing user_id=1", "ERR no model 'nothing'; the models are shop"),
      ("SCORE shop:love user_id=1", "ERR model shop has no task 'love'; its tasks are click, buy"),
      (
        "SCORE shop usr=1",
        "ERR model shop has no field 'usr'; its fields are user_id, item_id, gender, age, zip, tags, year, genres"
      ),
      ("SCORE shop user_id=abc", #"ERR field `user_id` must be an integer of 64 bits, is "abc""#),
      ("SCORE shop user_id=1 CANDIDATES item_id 1 x", #"ERR field `item_id` must be an integer of 64 bits, is "x""#),
      ("SCORE shop age=1 age=2", "ERR field `age` takes one value and is given twice"),
      ("SCORE shop user_id=1 CANDIDATES item_id 1 2 3 4", "TOOBIG 4 candidates in one request; the limit is 3"),
    ]
    for (request, error) in expected { #expect(fixture.refusal(request) == error) }
    #expect(
      fixture.refusal("SCORE shop user_id=1 CANDIDATES thing 1").hasPrefix("ERR model shop has no field 'thing'"))
    #expect(fixture.engine.statistics.requests == 0)
  }

  @Test func wrongJSONIsRefusedWithWhatIsWrong() throws {
    let fixture = try ServeFixture.ready(maxCandidates: 2)
    let expected: [(String, String)] = [
      ("", "ERR malformed JSON"),
      ("{\"context\":", "ERR malformed JSON"),
      ("[1]", "ERR expected {"),
      ("{}", "ERR nothing to score"),
      (#"{"context":[]}"#, "ERR `context` must be an object, is an array"),
      (#"{"candidates":{}}"#, "ERR `candidates` must be an array of objects, is an object"),
      (#"{"candidates":[7]}"#, "ERR candidate 1 must be an object of fields, is 7"),
      (#"{"contexts":{}}"#, "ERR unknown member `contexts`"),
      (#"{"context":{"usr":1}}"#, "ERR model shop has no field 'usr'"),
      (#"{"context":{},"candidates":[{"item_id":1},{"item_id":{}}]}"#, "ERR field `item_id` must be an integer"),
      (#"{"context":{"gender":3}}"#, "ERR field `gender` must be text, is 3"),
      (#"{"candidates":[{},{},{}]}"#, "TOOBIG 3 candidates in one request; the limit is 2"),
      (#"{"context":{"tags":[[[[[[[[[[]]]]]]]]]]}}"#, "TOOBIG JSON nested deeper"),
    ]
    for (json, error) in expected {
      let refusal = fixture.refusal(["SCOREJSON", "shop", json])
      #expect(refusal.hasPrefix(error), "\(json): \(refusal)")
    }
    #expect(fixture.refusal(["SCOREJSON", "x", "{}"]) == "ERR no model 'x'; the models are shop")
  }

  @Test func rowAnswersAsAParameterServerDoes() throws {
    let fixture = try ServeFixture.ready()
    let fid = Hashing.fid(slot: "user", value: "2")
    let owner = fixture.map.owner(of: fixture.map.shard(of: fid)).value
    let row = try fixture.servers[owner].row(table: "ids", fid: fid)
    #expect(row.exists)
    let reply = try #require(try fixture.ask(["ROW", "ids", String(fid)]).elements)
    #expect(reply.first?.integer == 1)
    #expect(reply.dropFirst().map { $0.double.map { Float($0) } } == row.weights)
    #expect(fixture.refusal(["ROW", "nope", "1"]) == "MISMATCH no table nope; the tables are ids, values, dense")
  }

  @Test func modelsTellWhatIsServed() throws {
    let fixture = try ServeFixture()
    var model = try #require(try fixture.ask("MODELS").elements?.first)
    #expect(model["name"]?.text == "shop")
    #expect(model["ready"] == .boolean(false))
    #expect(model["age_ms"] == nil)
    try fixture.train(seed: 1)
    try fixture.connect()
    model = try #require(try fixture.ask("MODELS").elements?.first)
    #expect(model["ready"] == .boolean(true))
    #expect(model["tasks"]?.elements?.map(\.text) == ["click", "buy"])
    let rows = fixture.servers.flatMap { $0.tableTotals() }.reduce(0) { $0 + $1.rows }
    #expect(model["rows"]?.integer == Int64(rows))
    #expect(model["age_ms"]?.integer != nil)
  }
}

@Suite struct ServeReadinessTests {
  @Test func requestsAreRefusedAsLoadingUntilEveryShardIsCopied() throws {
    let fixture = try ServeFixture()
    try fixture.train(seed: 3)
    fixture.loadItems(ServeFixture.items)
    let requests = ["SCORE shop user_id=1", "RECOMMEND shop user_id=1 TOPK 1", "ROW ids 1"]
    for request in requests {
      #expect(
        fixture.refusal(request)
          == "LOADING 0 of 6 shards are copied, 0 parameter servers are connected; try again soon")
    }
    try fixture.connect(server: 1)
    for request in requests + ["SCORE shop user_id=1 CANDIDATES item_id 1 2"] {
      #expect(fixture.refusal(request).hasPrefix("LOADING 3 of 6 shards are copied, 1 parameter servers"))
    }
    #expect(fixture.refusal("SCORE nothing user_id=1").hasPrefix("ERR no model"))
    try fixture.connect(server: 0)
    for request in requests { _ = try fixture.ask(request) }
  }

  @Test func answersStayTheSameWhenServersVanishAndWhileOneComesBackEmpty() throws {
    let fixture = try ServeFixture.ready()
    let request = "SCORE shop \(ServeReference.context) CANDIDATES item_id 1 2 3"
    let before = try fixture.scores(request)
    fixture.disconnect(server: 0)
    fixture.disconnect(server: 1)
    #expect(try fixture.scores(request) == before)
    #expect(fixture.replica.connectedServers == 0)
    // A server that lost everything: its empty base replaces the copy only as a whole, and there is no gap in answers.
    fixture.restart(server: 0, generation: 99)
    try fixture.connect(server: 0)
    #expect(try fixture.scores(request).count == 3)
    #expect(try fixture.scores(request) != before)
  }

  @Test func scoresFollowTrainingAndReceiptsTellSo() throws {
    let fixture = try ServeFixture.ready()
    let request = "SCORE shop \(ServeReference.context) CANDIDATES item_id 1 2 3"
    let before = try fixture.scores(request)
    try fixture.train(seed: 12, ingest: UnixTime(milliseconds: 5_000))
    #expect(try fixture.scores(request) == before)
    let actions = try fixture.connect()
    let receipts = actions.compactMap { action in
      if case .fresh(let receipt) = action { receipt } else { nil }
    }
    #expect(receipts.map(\.oldestIngest) == [UnixTime(milliseconds: 5_000)])
    #expect(try fixture.scores(request) != before)
  }
}

extension Double {
  fileprivate func isNear(_ other: Double) -> Bool { abs(self - other) < 1e-6 }
}
