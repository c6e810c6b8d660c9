import FreshetModel
import Testing

@testable import FreshetDashboard

@Suite struct TitleCatalogTests {
  private static func take(_ catalog: inout TitleCatalog, key: String, _ value: String?) {
    let reader = JSONRecordReader(maxBytes: 1 << 20, maxDepth: 32)
    Array(key.utf8).withUnsafeBytes { key in
      guard let value else { return catalog.take(key: key, value: nil, reader: reader) }
      Array(value.utf8).withUnsafeBytes { catalog.take(key: key, value: $0, reader: reader) }
    }
  }

  @Test func titlesFollowTheRecords() {
    var catalog = TitleCatalog(keyField: "item_id", titleField: "title", capacity: 10)
    Self.take(&catalog, key: "7", #"{"item_id":7,"title":"Seven"}"#)
    Self.take(&catalog, key: "a", #"{"item_id":"a","title":"A"}"#)
    #expect(catalog["7"] == "Seven" && catalog["a"] == "A" && catalog["8"] == nil)
    Self.take(&catalog, key: "7", #"{"item_id":7,"title":"Se7en"}"#)
    #expect(catalog["7"] == "Se7en")
    Self.take(&catalog, key: "7", nil)
    Self.take(&catalog, key: "a", #"{"item_id":"a"}"#)
    #expect(catalog.count == 0)
  }

  @Test func recordsOfNoUseChangeNothing() {
    var catalog = TitleCatalog(keyField: "item_id", titleField: "title", capacity: 10)
    for value in ["", "{", "[]", #"{"title":"none"}"#, #"{"item_id":[1],"title":"x"}"#, #"{"item_id":1,"title":5}"#] {
      Self.take(&catalog, key: "1", value)
    }
    #expect(catalog.count == 0)
  }

  @Test func titlesBeyondTheBoundAreCountedAndKnownOnesStillChange() {
    var catalog = TitleCatalog(keyField: "item_id", titleField: "title", capacity: 2)
    for id in 1...4 { Self.take(&catalog, key: "\(id)", #"{"item_id":\#(id),"title":"t\#(id)"}"#) }
    Self.take(&catalog, key: "1", #"{"item_id":1,"title":"new"}"#)
    #expect(catalog.count == 2 && catalog.leftOut == 2 && catalog["1"] == "new" && catalog["3"] == nil)
  }
}
