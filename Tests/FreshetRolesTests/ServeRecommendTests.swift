import CAllocationCount
import FreshetCore
import FreshetModel
import FreshetWire
import Testing

@testable import FreshetRoles

@Suite struct ServeRecommendTests {
  @Test func theBestItemsOfTheCatalogComeInOrderWithTheScoresOfSCORE() throws {
    let fixture = try ServeFixture.ready()
    let all = try fixture.scores(
      "SCORE shop \(ServeReference.context) CANDIDATES item_id \((1...40).map(String.init).joined(separator: " "))")
    let expected = zip(1...40, all).sorted { $0.1 > $1.1 }.prefix(10)
    let best = try fixture.recommendation("RECOMMEND shop \(ServeReference.context) TOPK 10")
    #expect(best.map(\.id) == expected.map { String($0.0) })
    #expect(best.map(\.score) == expected.map(\.1))
    let buy = try fixture.recommendation("RECOMMEND shop:buy \(ServeReference.context) TOPK 40")
    #expect(buy.count == 40)
    #expect(buy.map(\.id) != (try fixture.recommendation("RECOMMEND shop \(ServeReference.context) TOPK 40")).map(\.id))
  }

  @Test func excludedItemsAreLeftOutHoweverTheyAreWritten() throws {
    let fixture = try ServeFixture.ready()
    let best = try fixture.recommendation("RECOMMEND shop user_id=1 TOPK 5")
    let rest = try fixture.recommendation(
      "RECOMMEND shop user_id=1 TOPK 4 EXCLUDE 0\(best[0].id) \(best[2].id) 99999")
    #expect(rest.prefix(3).map(\.id) == [best[1].id, best[3].id, best[4].id])
    let unlimited = try fixture.recommendation("RECOMMEND shop user_id=1 TOPK 1000 EXCLUDE \(best[0].id)")
    #expect(unlimited.count == 39)
  }

  @Test func aCatalogOfSeveralSlicesIsRankedWhole() throws {
    let fixture = try ServeFixture.ready()
    let count = Recommendation.sliceItems * 2 + 40
    fixture.loadItems((1...count).map { "{\"item_id\":\($0),\"genres\":[\"g\($0 % 7)\"],\"year\":\(1950 + $0 % 60)}" })
    var seen: [String: Double] = [:]
    for (id, score) in try fixture.recommendation("RECOMMEND shop user_id=3 gender=M TOPK \(count)") {
      seen[id] = score
    }
    #expect(seen.count == count)
    for start in stride(from: 1, through: count, by: 300) {
      let ids = (start..<min(start + 300, count + 1)).map(String.init)
      let scores = try fixture.scores("SCORE shop user_id=3 gender=M CANDIDATES item_id \(ids.joined(separator: " "))")
      for (id, score) in zip(ids, scores) { #expect(seen[id] == score) }
    }
  }

  @Test func tiesGoByIdNumbersByValue() throws {
    let items = try ServeFixture.ready().engine.catalog.items
    let ten = try #require(items.item(key: "10"))
    let nine = try #require(items.item(key: "9"))
    for (type, expected) in [
      (FieldSpec.ValueType.integer, ["9", "10"]), (.float, ["9", "10"]), (.string, ["10", "9"]),
    ] {
      var top = TopItems(limit: 2, precedes: ServingEngine.order(of: type))
      for item in [ten, nine] { top.insert(.init(score: 0.5, item: item)) }
      #expect(top.sorted.map(\.item.key) == expected)
    }
  }

  @Test func anEmptyCatalogGivesNoRecommendations() throws {
    let fixture = try ServeFixture()
    try fixture.connect()
    #expect(try fixture.recommendation("RECOMMEND shop user_id=1 TOPK 3").isEmpty)
  }

  @Test func theHeapKeepsWhatSortingWould() {
    var generator = SeededGenerator(seed: 4)
    for round in 0..<200 {
      let entries = (0..<(1 + round)).map { TopItems<Int>.Entry(score: Double(generator.next() % 20), item: $0) }
      var top = TopItems<Int>(limit: 1 + round % 17) { $0 < $1 }
      for entry in entries where Float(entry.score) >= top.worst { top.insert(entry) }
      let expected = entries.sorted { ($1.score, $0.item) < ($0.score, $1.item) }.prefix(1 + round % 17)
      #expect(top.sorted.map(\.item) == expected.map(\.item))
    }
  }

  @Test func wrongRequestsAreRefused() throws {
    let fixture = try ServeFixture.ready()
    #expect(
      fixture.refusal("RECOMMEND shop user_id=1 year=1990 TOPK 3")
        == "ERR field `year` is the item's, and RECOMMEND takes the items from the catalog; leave it out or say it behind WHERE"
    )
    #expect(
      fixture.refusal("RECOMMEND shop user_id=1 TOPK 3 EXCLUDE x")
        == #"ERR field `item_id` must be an integer of 64 bits, is "x""#)
    #expect(fixture.refusal("RECOMMEND shop user_id=1 TOPK 0").hasPrefix("ERR"))
    #expect(fixture.refusal("RECOMMEND shp user_id=1 TOPK 1") == "ERR no model 'shp'; the models are shop")
  }

  @Test func filtersTakeItemsWithOneOfTheValuesOfEveryField() throws {
    let fixture = try ServeFixture.ready()
    let everything = try fixture.recommendation("RECOMMEND shop user_id=1 TOPK 40")
    func expect(_ filter: String, _ isWanted: (Int) -> Bool) throws {
      let expected = everything.filter { isWanted(Int($0.id)!) }
      let found = try fixture.recommendation("RECOMMEND shop user_id=1 TOPK 40 WHERE \(filter)")
      #expect(found.map(\.id) == expected.map(\.id) && found.map(\.score) == expected.map(\.score), "\(filter)")
    }
    func genres(_ id: Int) -> [String] { ServeReference.genres(ofItem: id) }
    try expect("genres=g1") { genres($0).contains("g1") }
    try expect("genres=g1|g6") { genres($0).contains("g1") || genres($0).contains("g6") }
    try expect("genres=g1 genres=g6") { genres($0).contains("g1") || genres($0).contains("g6") }
    try expect("genres=g1 year=1964") { genres($0).contains("g1") && $0 == 4 }
    try expect("year=01967 year=1968 EXCLUDE 7") { $0 == 8 }
    try expect("genres=nothing") { _ in false }
    #expect(
      fixture.refusal("RECOMMEND shop user_id=1 TOPK 3 WHERE age=3")
        == "ERR field `age` behind WHERE is not one of the item's")
    #expect(
      fixture.refusal("RECOMMEND shop user_id=1 TOPK 3 WHERE colour=red").hasPrefix("ERR model shop has no field"))
    #expect(
      fixture.refusal("RECOMMEND shop user_id=1 TOPK 3 WHERE year=soon")
        == #"ERR field `year` must be an integer of 64 bits, is "soon""#)
  }

  @Test func anItemThatGoesWhileARecommendationIsUnderWayIsLeftOut() throws {
    let fixture = try ServeFixture.ready()
    let fields = [RequestField(name: "user_id", value: "1")]
    let running = try fixture.engine.beginRecommendation(
      model: "shop", fields: fields, topK: 50, filters: [], exclude: [])
    #expect(fixture.deleteItem("7").isEmpty)
    while try !fixture.engine.advance(running) {}
    #expect(running.result.count == 39 && !running.result.contains { $0.id == "7" })
  }

  @Test func itemsThatComeAndGoBetweenSlicesDoNotHideOthers() throws {
    let fixture = try ServeFixture.ready()
    let count = Recommendation.sliceItems * 2
    fixture.loadItems((1...count).map { "{\"item_id\":\($0)}" })
    let running = try fixture.engine.beginRecommendation(
      model: "shop", fields: [RequestField(name: "user_id", value: "1")], topK: count, filters: [], exclude: [])
    _ = try fixture.engine.advance(running)
    // Their positions are behind and before the place that has been reached.
    for id in [2, 3, count - 1] { #expect(fixture.deleteItem("\(id)").isEmpty) }
    fixture.loadItems(["{\"item_id\":900001}", "{\"item_id\":900002}"])
    while try !fixture.engine.advance(running) {}
    let ids = running.result.compactMap { Int($0.id) }
    #expect(Set(ids).count == ids.count)
    #expect(Set(1...count).subtracting(ids).isSubset(of: [2, 3, count - 1]))
  }
}

@Suite struct ServeCatalogTests {
  @Test func badItemRecordsAreCountedByReasonAndToldOnce() throws {
    let fixture = try ServeFixture()
    var notices = fixture.loadItems([
      "{", "{\"year\":1990}", "{\"item_id\":1,\"year\":\"soon\"}", "{\"item_id\":2}", "]",
    ])
    #expect(notices.count == 3)
    #expect(notices[0].contains("partition 0 offset 0"))
    notices = fixture.loadItems(["{", "{\"item_id\":3,\"year\":\"later\"}"]) + fixture.deleteItem("x")
    #expect(notices.isEmpty)
    let catalog = fixture.engine.catalog
    #expect(catalog.badRecords == ["malformed-json": 3, "missing-field": 1, "wrong-type": 3])
    #expect(catalog.items.count == 1)
    #expect(catalog.records == 8)
    let empty = ItemRecord(partition: PartitionID(3), offset: Offset(0), key: nil, value: nil)
    #expect(fixture.engine.catalog.apply(ItemBatch(records: [empty]), to: fixture.replica).isEmpty)
    #expect(fixture.engine.catalog.badRecords["missing-field"] == 2)
  }

  @Test func laterRecordsReplaceAndDeleteItems() throws {
    let fixture = try ServeFixture.ready()
    let request = "SCORE shop user_id=1 gender=F CANDIDATES item_id 8"
    let before = try fixture.scores(request)
    fixture.loadItems(["{\"item_id\":8,\"genres\":[\"g6\"]}"])
    let replaced = try fixture.scores(request)
    #expect(replaced != before)
    #expect(fixture.deleteItem("08").isEmpty)
    #expect(fixture.engine.catalog.items.count == 39)
    #expect(fixture.engine.catalog.deletions == 1)
    #expect(try fixture.scores(request) != replaced)
    #expect(fixture.engine.statistics.unknownItems == 1)
  }
}

@Suite struct ServeMeterTests {
  @Test func theHistogramTellsPercentilesSinceTheStartAndOfTheLastFiveSeconds() throws {
    var histogram = RecentHistogram.latencies()
    let start = Instant(nanoseconds: 1_000_000_000_000)
    #expect(histogram.summary == nil)
    for value in 1...1000 { histogram.record(Int64(value), count: 2, now: start) }
    let summary = try #require(histogram.summary)
    #expect(summary.count == 2000)
    #expect(summary.p50 == 500 && summary.p90 == 900 && summary.p99 == 990 && summary.max == 1000)
    #expect(histogram.recent(now: start.advanced(byMs: 4_900))?.count == 2000)
    #expect(histogram.recent(now: start.advanced(byMs: 5_000)) == nil)
    histogram.record(-5, count: 1, now: start.advanced(byMs: 5_000))
    histogram.record(90_000_000, count: 1, now: start.advanced(byMs: 7_000))
    let recent = try #require(histogram.recent(now: start.advanced(byMs: 7_000)))
    #expect(recent.count == 2 && recent.max == 60_000_000 && recent.p50 == 0)
    #expect(histogram.summary?.count == 2002)
    // The same for Prometheus, exactly at its bounds and with the exact sum.
    let below = Dictionary(uniqueKeysWithValues: histogram.buckets.cumulative.map { ($0.bound, $0.count) })
    #expect(below["5e-05"] == 101 && below["0.0001"] == 201 && below["0.001"] == 2001)
    #expect(below["10"] == 2001 && below["+Inf"] == 2002)
    #expect(histogram.buckets.sumSeconds == 1.001 + 60)
  }

  /// Every request, pull and push records one.
  @Test func recordingAValueAllocatesNothing() {
    var histogram = RecentHistogram.latencies()
    let now = Instant(nanoseconds: 5_000_000_000)
    histogram.record(1, count: 1, now: now)
    let start = freshet_allocation_count()
    for value in 0..<1_000 { histogram.record(Int64(value * 70), count: 1, now: now) }
    #expect(freshet_allocation_count() - start == 0)
    #expect(histogram.buckets.cumulative.last?.count == 1_001)
  }

  @Test func similarNoticesAreHeldBackForAWhile() {
    var limiter = NoticeLimiter()
    let start = Instant(nanoseconds: 1)
    #expect(limiter.admit("down", topic: "a", now: start) == 0)
    #expect(limiter.admit("down", topic: "a", now: start.advanced(byMs: 100)) == nil)
    #expect(limiter.admit("down", topic: "b", now: start.advanced(byMs: 100)) == 0)
    #expect(limiter.admit("really down", topic: "a", now: start.advanced(byMs: 200)) == 1)
    #expect(limiter.admit("really down", topic: "a", now: start.advanced(byMs: 30_300)) == 0)
    limiter.forget(topic: "a")
    #expect(limiter.admit("really down", topic: "a", now: start.advanced(byMs: 30_400)) == 0)
  }
}
