import FreshetCore
import Testing

@testable import FreshetTable

/// What copying a table to replicas rests on: scans, touched rows, tombstones, and removal of what a copy no longer holds.
@Suite struct TableCopyTests {
  let table = EmbeddingTable(
    layout: EmbeddingTableTests.layout(width: 2, optimizer: .sgd(SGD(learningRate: 1))), feeds: 1)
  let replica = EmbeddingTable(layout: EmbeddingTableTests.layout(width: 2, optimizer: .weightsOnly), feeds: 0)

  func update(_ fids: [Fid]) {
    fids.withUnsafeBufferPointer {
      table.update($0, gradients: [Float](repeating: 1, count: fids.count * 2), minutes: 3)
    }
  }

  func remove(_ fids: [Fid], from table: EmbeddingTable) {
    fids.withUnsafeBufferPointer { _ = table.remove($0) }
  }

  func touched() -> [Fid] {
    var fids: [Fid] = []
    table.takeTouched(feed: 0) { fid, weights in
      #expect(table.weights(fid).weights == [weights[0], weights[1]])
      fids.append(fid)
    }
    return fids
  }

  @Test func aRowThatWentAndCameBackIsTouchedOnceAndNoTombstone() {
    update([1, 2, 3])
    remove([2], from: table)
    update([2])
    remove([2], from: table)
    update([2, 2, 1])
    #expect(touched().sorted() == [1, 2, 3])
    #expect(table.takeRemoved(feed: 0) == [])
    #expect(touched() == [])
    // Another fid in the freed row is not taken for the one that was there.
    remove([3], from: table)
    update([4])
    #expect(touched() == [4])
    #expect(table.takeRemoved(feed: 0) == [3])
  }

  @Test func aScanThatIsInterruptedByChangesMissesNoRowThatDeltasDoNotBring() {
    var random = SeededGenerator(seed: 8)
    for _ in 0..<20 {
      let all = (0..<400).map { Fid($0) }
      update(all.filter { _ in random.next() % 2 == 0 })
      _ = touched()
      _ = table.takeRemoved(feed: 0)
      var copied = Set<Fid>()
      var cursor: Int? = 0
      while let from = cursor {
        cursor = table.scan(from: from, limit: Int.random(in: 1...40, using: &random)) { fid, _ in copied.insert(fid) }
        remove((0..<5).map { _ in all.randomElement(using: &random)! }, from: table)
        update(Array(Set((0..<5).map { _ in all.randomElement(using: &random)! })))
      }
      copied.formUnion(touched())
      copied.subtract(table.takeRemoved(feed: 0))
      var rows = Set<Fid>()
      _ = table.scan(from: 0, limit: .max) { fid, _ in rows.insert(fid) }
      #expect(copied == rows)
      table.checkInvariants()
    }
  }

  @Test func aCopyDropsTheRowsOfEarlierRoundsAndKeepsNoLists() {
    func assign(_ fids: [Fid], round: UInt32) {
      fids.withUnsafeBufferPointer {
        replica.assign($0, weights: [Float](repeating: Float(round), count: fids.count * 2), minutes: round)
      }
    }
    let many = (0..<3_000).map { Fid($0) }
    assign(many, round: 1)
    assign(Array(many[1_000..<2_000]), round: 2)
    // A row that is removed and assigned again belongs to the new round.
    remove([5], from: replica)
    assign([5], round: 2)
    #expect(replica.removeRows(updatedBefore: 2) == 1_999)
    #expect(replica.rowCount == 1_001)
    #expect(replica.weights(5) == ([2, 2], true))
    #expect(!replica.contains(999) && replica.contains(1_000) && !replica.contains(2_000))
    #expect(replica.removeRows(updatedBefore: 2) == 0)
    replica.checkInvariants()
  }

  @Test func lookingForOldRowsInSlicesFindsEachWhileTheyAreRemoved() {
    var random = SeededGenerator(seed: 3)
    for _ in 0..<20 {
      let table = EmbeddingTable(layout: replica.layout, feeds: 0)
      let (old, new) = (Set((0..<300).map { _ in Fid.random(in: 0..<2_000, using: &random) }), Set<Fid>(2_000..<2_100))
      for fid in old.union(new).shuffled(using: &random) {
        withUnsafePointer(to: fid) {
          table.assign(
            UnsafeBufferPointer(start: $0, count: 1), weights: [Float](repeating: 1, count: table.layout.width),
            minutes: old.contains(fid) ? 4 : 5)
        }
      }
      var found: [Fid] = []
      var cursor: Int? = 0
      while let from = cursor {
        var slice: [Fid] = []
        let limit = Int.random(in: 1...40, using: &random)
        cursor = table.findRows(updatedBefore: 5, from: from, limit: limit, into: &slice)
        #expect(slice.count <= limit)
        remove(slice, from: table)
        found += slice
      }
      #expect(found.count == old.count && Set(found) == old)
      #expect(table.rowCount == new.count && new.allSatisfy { table.contains($0) })
      table.checkInvariants()
    }
  }
}
