import FreshetCore
import Testing

@testable import FreshetTable

@Suite struct RowStoreTests {
  /// Rows so wide that a slab has 1,024 of them.
  private static let stride = 16 << 10

  @Test func rowsKeepBytesAndMarksWhileSlabsComeAndGo() {
    var random = SeededGenerator(seed: 3)
    var store = RowStore(strideBytes: Self.stride, feeds: 2, hasCuts: false)
    var model: [Fid] = []
    var touched = [Set<Fid>(), Set<Fid>()]
    var slabs = Set<Int>()
    #expect(store.rowsPerSlab == 1024)
    for (next, size) in [1100, 800, 2100, 1990, 900, 1030, 5].enumerated() {
      while model.count != size {
        if model.count < size {
          let fid = random.next()
          let row = store.append(fid)
          #expect(Int(row) == model.count)
          store.row(row).storeBytes(of: ~fid, as: UInt64.self)
          model.append(fid)
          if fid % 3 == 0 {
            store.addresses.markTouched(row, store.addresses.fetchMarks(row))
            for feed in 0..<2 { touched[feed].insert(fid) }
          }
        } else {
          let row = Int(random.next() % UInt64(model.count))
          for feed in 0..<2 { touched[feed].remove(model[row]) }
          let moved = store.remove(UInt32(row))
          #expect(moved == (row == model.count - 1 ? nil : model.last))
          model[row] = model[model.count - 1]
          model.removeLast()
        }
      }
      slabs.insert(store.slabCount)
      for (row, fid) in model.enumerated() {
        #expect(store.fid(UInt32(row)) == fid && store.row(UInt32(row)).load(as: UInt64.self) == ~fid)
      }
      let feed = next % 2
      #expect(store.touchedCount(feed: feed) == touched[feed].count)
      var seen = Set<Fid>()
      store.takeTouched(feed: feed) { row in seen.insert(store.fid(row)) }
      #expect(seen == touched[feed])
      touched[feed] = []
    }
    #expect(slabs == [1, 2, 3])
  }

  @Test func aSlabGoesOnceAQuarterMoreThanItIsFree() {
    var store = RowStore(strideBytes: Self.stride, feeds: 1, hasCuts: false)
    for fid in 0..<1025 { _ = store.append(Fid(fid)) }
    #expect(store.slabCount == 2)
    while store.count > 769 { _ = store.remove(0) }
    #expect(store.slabCount == 2)
    store.takeTouched(feed: 0) { _ in }
    #expect(store.touchedCount(feed: 0) == 0)
    _ = store.remove(0)
    #expect(store.slabCount == 1)
  }
}
