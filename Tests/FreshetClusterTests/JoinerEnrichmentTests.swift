import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

/// Fields of the user from a topic of their own.
@Suite struct JoinerEnrichmentTests {
  static let spec: ModelSpec = {
    var spec = joinerSpec
    spec.enrichments = [EnrichmentSpec(name: "users", key: 0, topic: "users")]
    spec.fields += [
      FieldSpec(name: "gender", source: .enrichment(0)), FieldSpec(name: "tags", multi: true, source: .enrichment(0)),
    ]
    spec.slots += [
      SlotSpec(name: "gender", index: 3, fields: [3]), SlotSpec(name: "tags", index: 4, fields: [4]),
      SlotSpec(name: "cross", index: 5, fields: [3, 2]),
    ]
    return spec
  }()

  /// A joiner and what it knows of users.
  private final class Users {
    let bench: JoinerBench
    let catalog = KeyedCatalog(of: .enrichment(0), capacity: 10)

    init(from point: JoinerCommitPoint = .start, _ records: [String]) throws {
      bench = try JoinerBench(spec: JoinerEnrichmentTests.spec, from: point)
      for record in records { try put(record) }
      bench.partition.enrichments = [catalog]
    }

    func put(_ json: String) throws {
      let reader = JSONRecordReader(maxBytes: 10_000, maxDepth: 8)
      try Array(json.utf8).withUnsafeBytes {
        try catalog.upsert($0, bench.extractor, reader, bench.extractor.makeScratch())
      }
    }

    func delete(_ key: String) throws {
      #expect(
        try Array(key.utf8).withUnsafeBytes {
          try catalog.remove(recordKey: $0, bench.extractor, bench.extractor.makeScratch())
        })
    }

    /// Fids of the slots gender, tags and cross, example by example.
    var counts: [[Int]] { bench.examples.map { Array($0.fidCounts[3...]) } }
  }

  private static let user = #"{"user_id":"07","gender":"F","tags":["a","b"]}"#

  @Test func theFieldsOfTheUserAreInTheExample() throws {
    let users = try Users([Self.user])
    users.bench.feature(0, "a", at: 5000)
    users.bench.feature(1, "b", at: 5000, user: 8)
    users.bench.action(0, "a", at: 5100)
    users.bench.action(1, "b", at: 5100)
    try users.bench.settle()
    #expect(users.counts == [[1, 2, 1], [0, 0, 0]])
    #expect(users.bench.partition.counters.unknownEnrichments == 1)
  }

  @Test func whatTheImpressionSaysItselfStands() throws {
    let users = try Users([Self.user])
    let json = #"{"request_id":"a","event_time":5000,"user_id":7,"item_id":3,"tags":["x","y","z"]}"#
    users.bench.feed(.features, 0, json)
    users.bench.action(0, "a", at: 5100)
    try users.bench.settle()
    #expect(users.counts == [[1, 3, 1]])
  }

  @Test func fieldsThatNeedMoreRoomThanTheRecordLeaveItsKeysAsTheyAre() throws {
    let tags = (0..<150).map { "\"" + String(repeating: "t", count: 50) + "\($0)\"" }.joined(separator: ",")
    let users = try Users([#"{"user_id":1234567,"gender":"F","tags":[\#(tags)]}"#])
    for request in 0..<3 {
      users.bench.feature(Int64(request), "r\(request)", at: 5000, user: 1_234_567)
      users.bench.action(Int64(request), "r\(request)", at: 5100)
    }
    try users.bench.settle()
    #expect(users.counts == Array(repeating: [1, 150, 1], count: 3))
    #expect(users.bench.examples.map(\.key) == Array(repeating: "1234567", count: 3))
  }

  @Test func aUserThatIsNotKnownIsLookedForBeforeTheImpressionIsProcessed() throws {
    let users = try Users([])
    users.bench.onRefresh = { try users.put(Self.user) }
    users.bench.feature(0, "a", at: 5000)
    users.bench.action(0, "a", at: 5100)
    try users.bench.settle()
    #expect(users.bench.asked == 1 && users.counts == [[1, 2, 1]])
    #expect(users.bench.partition.counters.unknownEnrichments == 0)
    #expect(users.bench.partition.waitingFeatureCount == 1)
  }

  @Test func aUserThatIsNotFoundIsAskedForOnceInAnInterval() throws {
    let users = try Users([])
    for number in 0..<3 as Range<Int64> {
      users.bench.feature(number, "r\(number)", at: 5000 + number)
      users.bench.action(number, "r\(number)", at: 5100 + number)
    }
    try users.bench.settle()
    #expect(users.bench.asked == 1 && users.counts == [[0, 0, 0], [0, 0, 0], [0, 0, 0]])
    #expect(users.bench.partition.counters.unknownEnrichments == 3)
  }

  @Test func aDeletedUserLeavesItsSlotsEmpty() throws {
    let users = try Users([Self.user])
    users.bench.feature(0, "a", at: 5000)
    users.bench.action(0, "a", at: 5100)
    try users.bench.settle()
    try users.delete("7")
    users.bench.feature(1, "b", at: 5200)
    users.bench.action(1, "b", at: 5300)
    try users.bench.settle()
    #expect(users.counts == [[1, 2, 1], [0, 0, 0]])
  }

  @Test func aRestoredImpressionHasTheFieldsOfItsUserAgain() throws {
    let first = try Users([Self.user])
    first.bench.feature(0, "a", at: 5000)
    try first.bench.settle()
    let point = try #require(first.bench.partition.commitPoint)
    let second = try Users(from: point, [Self.user])
    second.bench.feature(0, "a", at: 5000)
    second.bench.action(0, "a", at: 5100)
    try second.bench.settle()
    #expect(second.counts == [[1, 2, 1]])
  }

  /// Values that are too many together make a record that cannot be used, like any other.
  @Test func whatIsTooMuchOnceTheUserIsKnownIsADeadLetter() throws {
    var spec = Self.spec
    spec.fields.append(FieldSpec(name: "words", multi: true))
    spec.slots.append(SlotSpec(name: "both", index: 6, fields: [4, 5]))
    let bench = try JoinerBench(spec: spec)
    let catalog = KeyedCatalog(of: .enrichment(0), capacity: 10)
    bench.partition.enrichments = [catalog]
    let list = (0..<20).map { "\"\($0)\"" }.joined(separator: ",")
    bench.onRefresh = {
      let reader = JSONRecordReader(maxBytes: 10_000, maxDepth: 8)
      try Array(#"{"user_id":7,"tags":[\#(list)]}"#.utf8).withUnsafeBytes {
        try catalog.upsert($0, bench.extractor, reader, bench.extractor.makeScratch())
      }
    }
    bench.feed(.features, 0, #"{"request_id":"a","event_time":5000,"user_id":7,"item_id":3,"words":[\#(list)]}"#)
    bench.feature(1, "b", at: 5001)
    bench.action(0, "b", at: 5100)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.oversized] && bench.deadLetters.first?.offset == 0)
    #expect(bench.examples.count == 1)
  }
}
