import FreshetCore
import FreshetModel
import Testing

@Suite struct EnrichmentTests {
  private static let spec = testModel([
    FieldSpec(name: "age", type: .integer, source: .enrichment(0)),
    FieldSpec(name: "city", source: .enrichment(1)),
    FieldSpec(name: "store"),
  ]) {
    $0.enrichments = [
      EnrichmentSpec(name: "users", key: 3, topic: "u"), EnrichmentSpec(name: "stores", key: 2, topic: "s"),
    ]
  }

  private func refusal(_ change: (inout ModelSpec) -> Void) -> String? {
    var spec = Self.spec
    change(&spec)
    do {
      try spec.validate()
      return nil
    } catch {
      return error.message
    }
  }

  @Test func mistakesAreNamed() {
    #expect(refusal { _ in } == nil)
    #expect(refusal { $0.enrichments[1].name = "users" }?.contains("used twice") == true)
    #expect(refusal { $0.enrichments[1].name = "item" }?.contains("source of its own") == true)
    #expect(refusal { $0.enrichments[1].key = 9 }?.contains("names no field") == true)
    #expect(refusal { $0.enrichments[1].key = 0 }?.contains("must be a field of the request") == true)
    #expect(refusal { $0.enrichments[1].key = 4 }?.contains("item key") == true)
    #expect(refusal { $0.fields[0].source = .enrichment(2) }?.contains("names no enrichment") == true)
    #expect(refusal { $0.userKey = 0 }?.contains("user_key") == true)
  }

  @Test func theFingerprintKnowsWhereFieldsComeFrom() {
    var other = Self.spec
    other.fields[0].source = .enrichment(1)
    #expect(other.fingerprint != Self.spec.fingerprint)
    other = Self.spec
    other.enrichments[0].topic = "another"
    #expect(other.fingerprint == Self.spec.fingerprint)
    other.enrichments[0].key = 2
    #expect(other.fingerprint != Self.spec.fingerprint)
  }

  @Test func aRequestIsCompletedWithWhatItsKeysAreKnownBy() throws {
    let bench = try FeatureBench(Self.spec)
    let users = KeyedCatalog(of: .enrichment(0), capacity: 4)
    let stores = KeyedCatalog(of: .enrichment(1), capacity: 4)
    // What is not the enrichment's own is not taken; of a name that comes twice the last value is.
    for (catalog, json) in [
      (users, #"{"user":7,"age":30,"age":31,"city":"no"}"#), (stores, #"{"store":"s1","city":"Oslo","age":99}"#),
    ] {
      try Array(json.utf8).withUnsafeBytes { try catalog.upsert($0, bench.extractor, bench.reader, bench.scratch) }
    }
    let second = JSONRecordReader(maxBytes: 1000, maxDepth: 4)
    func completed(_ json: String) throws -> (row: [Fid], unknown: UInt32) {
      try Array(json.utf8).withUnsafeBytes { bytes in
        bench.scratch.reset()
        try bench.extractor.read(try bench.reader.parse(bytes), .request, into: bench.scratch)
        let unknown = try bench.extractor.complete(bench.scratch, second) {
          ($0 == 0 ? users : stores).item(hash: $1)
        }
        var row = bench.extractor.makeRow()
        let request = try bench.extractor.copyRequestPart(bench.scratch)
        let item = try bench.extractor.copyItemPart(bench.scratch)
        try bench.extractor.combine(request: request, item: item, into: &row, bench.scratch)
        return (row.fids, unknown)
      }
    }
    let whole = try completed(#"{"user":7,"item":1,"store":"s1"}"#)
    #expect(try whole.row == bench.row(#"{"user":7,"item":1,"store":"s1","age":31,"city":"Oslo"}"#).fids)
    #expect(whole.unknown == 0)
    let own = try completed(#"{"user":7,"item":1,"store":"s2","age":5}"#)
    #expect(try own.row == bench.row(#"{"user":7,"item":1,"store":"s2","age":5}"#).fids)
    #expect(own.unknown == 2, "the store is not known; the user's record is not needed")
    #expect(try completed(#"{"user":8,"item":1}"#).unknown == 1, "a key that is missing is not unknown")
  }
}
