import FreshetCore
import FreshetTableScript
import Testing

@testable import FreshetTable

@Suite struct FidIndexTests {
  /// However it grows and shrinks, it is through with one array before it begins with the next, and in time: within a
  /// quarter as many changes as the old array has buckets.
  @Test(arguments: [FidFamily.sequential, .spread, .equalHighBits, .equalLowBits])
  func aMoveIsOverLongBeforeTheNextBegins(family: FidFamily) {
    var index = FidIndex()
    var moving: (from: Int, changes: Int)?
    var moves = 0
    func follow(_ index: borrowing FidIndex) {
      guard index.isMoving else { return moving = nil }
      let from = index.oldBuckets.count
      if moving == nil {
        moving = (from, 0)
        moves += 1
      }
      moving!.changes += 1
      #expect(moving!.from == from, "another move began before the last one was over")
      #expect(moving!.changes <= from / 4 + 1, "a move of \(from) buckets is too slow")
    }
    for number in 0..<20_000 {
      index.insert(family.fid(number), row: UInt32(number), minutes: 0)
      follow(index)
    }
    index.checkInvariants()
    let grown = moves
    for number in 0..<20_000 {
      #expect(index.remove(family.fid(number)) == UInt32(number))
      follow(index)
    }
    index.checkInvariants()
    #expect(grown > 10 && moves > grown + 5)
    #expect(index.count == 0 && index.sizeBytes <= 2 * 4096)
  }

  @Test(arguments: FidFamily.allCases)
  func itIsInOrderAfterEveryChangeWhateverTheHashes(family: FidFamily) {
    var random = SeededGenerator(seed: 4)
    var index = FidIndex()
    var model: [Fid: UInt32] = [:]
    // Up and down, so that most changes come while entries move.
    for size in [60, 10, 120, 0, 90, 30, 200, 0] {
      while model.count != size {
        let fid = model.count < size ? family.fid(Int(random.next() % 400)) : model.keys.randomElement(using: &random)!
        if model.count > size {
          #expect(index.remove(fid) == model.removeValue(forKey: fid))
        } else if model[fid] == nil {
          model[fid] = UInt32(model.count)
          index.insert(fid, row: model[fid]!, minutes: 7)
        }
        index.checkInvariants()
      }
      for number in 0..<400 {
        let fid = family.fid(number)
        #expect(index.find(fid).map { $0[0] - 1 } == model[fid])
      }
    }
  }

  /// Eviction asks for this; without an answer it would ask for ever.
  @Test(arguments: FidFamily.allCases)
  func aSampleFindsARowWhereverRowsAre(family: FidFamily) {
    var index = FidIndex()
    var cursor: UInt32 = 0
    for number in 0..<300 {
      index.insert(family.fid(number), row: UInt32(number), minutes: 5)
      for start in [cursor, 0, .max, 1 << 31] {
        cursor = start
        let fid = index.oldest(inSampleFrom: &cursor, limit: 16)
        #expect(fid.flatMap { index.find($0) } != nil)
      }
    }
  }

  @Test func aSampleGivesTheRowThatWasUpdatedLongestAgo() {
    var index = FidIndex()
    for number in 0..<48 {
      index.insert(FidFamily.spread.fid(number), row: UInt32(number), minutes: 100 - UInt32(number))
    }
    var cursor: UInt32 = 77
    #expect(index.oldest(inSampleFrom: &cursor, limit: 1000) == FidFamily.spread.fid(47))
  }
}
