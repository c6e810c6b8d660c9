import FreshetCore
import FreshetWire
import NIOCore
import Testing

@testable import FreshetRoles

/// Requests that are scored together, beside the same requests one by one.
@Suite struct ServeBurstTests {
  private static let users = 30
  private static let items = 60

  /// The bytes of a reply, or the error.
  private enum Answer: Equatable {
    case reply([UInt8])
    case error(String)
  }

  private func answer(_ engine: ServingEngine, _ result: Result<ScoredRequest, WireError>) -> Answer {
    switch result {
    case .success(let scored):
      var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v3)
      engine.write(scored, to: &encoder)
      return .reply(Array(encoder.buffer.readableBytesView))
    case .failure(let error): return .error("\(error.code) \(error.message)")
    }
  }

  /// Requests of every kind: known and unknown users and items, any number of candidates, fields of items, fields as candidates,
  /// both tasks' names, and what is refused for each reason.
  private func request(_ random: inout SeededGenerator) -> RESPRequest {
    func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
    func item() -> String { String(below(10) == 0 ? 100_000 + below(50) : 1 + below(Self.items)) }
    var words = ["SCORE", "movielens"]
    words.append("user_id=\(below(5) == 0 ? 900 + below(9) : 1 + below(Self.users))")
    if below(2) == 0 { words.append("gender=\(below(2) == 0 ? "F" : "M")") }
    if below(2) == 0 { words.append("zip=\(10_000 + below(90_000))") }
    switch below(14) {
    case 0: words.append("year=\(1930 + below(60))")
    case 1: words += ["genres=genre\(below(18))", "genres=genre\(below(18))"]
    case 2: words[1] = "nothing"
    case 3: words.append("color=red")
    case 4: words.append("age=old")
    case 5: words.append("user_id=5")
    default: break
    }
    switch below(8) {
    case 0: words.append("item_id=\(item())")
    case 1: break
    case 2: words += ["item_id=\(item())", "CANDIDATES", "age"] + (0...below(4)).map { _ in String(18 + below(40)) }
    case 3: words += ["CANDIDATES", "item_id", "1", "one"]
    default: words += ["CANDIDATES", "item_id"] + (0...below(12)).map { _ in item() }
    }
    return RESPRequest(words)
  }

  private func burst(_ random: inout SeededGenerator) -> ContiguousArray<RESPRequest> {
    var requests: ContiguousArray<RESPRequest> = []
    var words = 0
    let most = 1 + Int(random.next() % 24)
    while requests.count < most {
      let next = request(&random)
      if words + next.count > ServingEngine.burstWords { break }
      requests.append(next)
      words += next.count
    }
    return requests
  }

  @Test(arguments: [1, 2, 3]) func aBurstIsAnsweredAsItsRequestsOneByOne(seed: UInt64) throws {
    let together = try ScoredReplica(users: Self.users, items: Self.items, shards: 4)
    let alone = try ScoredReplica(users: Self.users, items: Self.items, shards: 4)
    var random = SeededGenerator(seed: seed)
    var replies = 0
    var refusals: Set<String> = []
    for round in 0..<150 {
      if round % 7 == 6 {
        try together.change()
        try alone.change()
      }
      let requests = burst(&random)
      var answers = [Answer?](repeating: nil, count: requests.count)
      together.engine.score(requests) { number, result in
        #expect(answers[number] == nil, "answered twice")
        answers[number] = answer(together.engine, result)
      }
      for (number, request) in requests.enumerated() {
        let expected = answer(alone.engine, Result { () throws(WireError) in try alone.engine.score(request) })
        #expect(answers[number] == expected, "round \(round), request \(number)")
        if case .error(let text) = expected { refusals.insert(text) } else { replies += 1 }
      }
      #expect(together.engine.statistics == alone.engine.statistics)
    }
    #expect(replies > 500)
    for part in ["no model 'nothing'", "no field 'color'", "`age`", "`user_id`", "`item_id`"] {
      #expect(refusals.contains { $0.contains(part) }, "\(part) in \(refusals)")
    }
    #expect(together.engine.scorer.unknownFids == alone.engine.scorer.unknownFids)
  }

  @Test func theScoresOfABurstComeFromOneRunOfTheNetwork() throws {
    let replica = try ScoredReplica(users: Self.users, items: Self.items, shards: 4)
    let requests = ContiguousArray((0..<16).map { replica.scoreRequest($0, candidates: 3) })
    var positions: [Range<Int>] = []
    replica.engine.score(requests) { _, result in
      if case .success(let scored) = result { positions.append(scored.positions) }
    }
    #expect(positions == (0..<16).map { $0 * 3..<$0 * 3 + 3 })
  }

  @Test func aModelWithCrossesOfBothSidesIsScoredRequestByRequest() throws {
    #expect(try !ServeFixture.ready().engine.scoresBursts)
    #expect(try ScoredReplica(users: 1, items: 1, shards: 1).engine.scoresBursts)
  }

  @Test func beforeEveryShardIsThereAllOfABurstIsToldToComeAgain() throws {
    let fixture = try ServeFixture()
    var answers: [String] = []
    let requests: ContiguousArray = [
      RESPRequest(["SCORE", "shop", "user_id=1"]), RESPRequest(["SCORE", "shop", "user_id=2"]),
    ]
    fixture.engine.score(requests) { number, result in
      if case .failure(let error) = result { answers.append("\(number) \(error.code)") }
    }
    #expect(answers == ["0 LOADING", "1 LOADING"])
  }
}
