import FreshetCore
import FreshetModel
import Testing

@Suite struct FeaturesCatalogTests {
  private func upsert(_ catalog: inout ItemCatalog, _ bench: FeatureBench, _ json: String) throws {
    try Array(json.utf8).withUnsafeBytes { try catalog.upsert($0, bench.extractor, bench.reader, bench.scratch) }
  }

  @Test func theCatalogGivesWhatTheSameFieldsGiveDirectly() throws {
    let bench = try FeatureBench(.movieLens)
    var catalog = ItemCatalog(capacity: 10)
    try upsert(&catalog, bench, #"{"item_id":"0007","title":"X (1999)","year":1999,"genres":["A","B"]}"#)
    let expected = try bench.row(#"{"user_id":5,"item_id":7,"year":1999,"genres":["A","B"]}"#)
    let item = try #require(catalog.item(key: "7"))
    bench.scratch.reset()
    _ = try bench.extractor.set(name: "user_id", text: "5", into: bench.scratch)
    var row = bench.extractor.makeRow()
    let request = try bench.extractor.copyRequestPart(bench.scratch)
    try bench.extractor.combine(request: request, item: item.part, into: &row, bench.scratch)
    #expect(row == expected)
    #expect(item.metadata("title", bench.reader) == "X (1999)")
    #expect(item.metadata("year", bench.reader) == "1999")
    #expect(item.metadata("nothing", bench.reader) == nil)
  }

  /// One document, one scratch: the request's part stays valid while the candidates are read.
  @Test func aScoringRequestGivesTheRowsOfItsCandidates() throws {
    let bench = try FeatureBench(.movieLens)
    var catalog = ItemCatalog(capacity: 10)
    try upsert(&catalog, bench, #"{"item_id":7,"year":1999,"genres":["A","B"]}"#)
    let json =
      #"{"context":{"user_id":5,"gender":"F"},"candidates":[{"item_id":"7"},{"item_id":8},{"item_id":7,"year":2000}]}"#
    let expected = [
      #"{"user_id":5,"gender":"F","item_id":7,"year":1999,"genres":["A","B"]}"#,
      #"{"user_id":5,"gender":"F","item_id":8}"#, #"{"user_id":5,"gender":"F","item_id":7,"year":2000}"#,
    ]
    let extractor = bench.extractor
    var batch = ExampleBatch(layout: extractor.layout, capacity: 8)
    var row = extractor.makeRow()
    try Array(json.utf8).withUnsafeBytes { bytes in
      let root = try bench.reader.parse(bytes)
      bench.scratch.reset()
      try extractor.read(try #require(root["context"]), .all, into: bench.scratch)
      let request = try #require(try extractor.requestPart(bench.scratch).baseAddress)
      for candidate in try #require(root["candidates"]).children {
        bench.scratch.reset()
        try extractor.read(candidate, .item, into: bench.scratch)
        let item = try extractor.resolveItem(catalog, bench.scratch)
        try extractor.combine(request: request, item: item.part, into: &row, bench.scratch)
        batch.append(row)
      }
    }
    #expect(batch.count == 3)
    for (index, json) in expected.enumerated() {
      #expect(Array(batch.fids[batch.fidRange(examples: index..<index + 1)]) == (try bench.row(json).fids))
    }
  }

  @Test func itemsAreReplacedAndDeleted() throws {
    let bench = try FeatureBench(.movieLens)
    var catalog = ItemCatalog(capacity: 3)
    for id in 1...3 { try upsert(&catalog, bench, #"{"item_id":\#(id)}"#) }
    try upsert(&catalog, bench, #"{"item_id":1,"title":"new"}"#)
    #expect(catalog.count == 3)
    #expect(catalog.item(key: "1")?.metadata("title", bench.reader) == "new")
    #expect(throws: ItemError.self) { try upsert(&catalog, bench, #"{"item_id":4}"#) }
    let removed = try Array("01".utf8).withUnsafeBytes {
      try catalog.remove(recordKey: $0, bench.extractor, bench.scratch)
    }
    #expect(removed && catalog.count == 2)
    #expect(catalog.item(key: "1") == nil)
    #expect(catalog.item(key: "3")?.key == "3" && catalog.item(key: "2")?.key == "2")
    #expect(Set(catalog.items.map(\.key)) == ["2", "3"])
  }

  @Test(arguments: [
    (#"{"title":"x"}"#, "missing-field"), (#"{"item_id":null}"#, "missing-field"), (#"{"item_id":"x"}"#, "wrong-type"),
    ("[1]", "wrong-type"), ("{", "malformed-json"), ("", "malformed-json"),
  ])
  func aBadItemIsAnErrorWithItsCode(json: String, code: String) throws {
    let bench = try FeatureBench(.movieLens)
    var catalog = ItemCatalog(capacity: 3)
    do {
      try upsert(&catalog, bench, json)
      Issue.record("no error")
    } catch { #expect((error as? ItemError)?.code == code) }
    #expect(catalog.count == 0)
  }
}
