import FreshetCore
import FreshetModel

/// Examples in the order in which they are learned, in memory; any stretch of them can be had as a batch.
struct ExampleLog {
  /// The most examples that are handed on at once.
  static let blockSize = 8192

  private let blocks: [ExampleBatch]
  /// By block, the offset of its first example.
  private let firsts: [Int]
  let count: Int
  /// By example, when its action happened, in ms since 1970.
  let times: [Int64]
  /// By example, the first task's label.
  let labels: [Float]

  /// - Parameter blocks: None empty; offsets count their examples from 0.
  init(_ blocks: [ExampleBatch]) {
    self.blocks = blocks
    var firsts: [Int] = []
    var count = 0
    for block in blocks {
      precondition(!block.isEmpty && block.offsets[0] == Int64(count))
      firsts.append(count)
      count += block.count
    }
    self.firsts = firsts
    self.count = count
    times = blocks.flatMap(\.actionTimes)
    labels = blocks.flatMap { block in (0..<block.count).map { block.labels[$0 * block.layout.taskCount] } }
  }

  /// An empty batch that `forEachBatch` can fill.
  func makeBatch() -> ExampleBatch { ExampleBatch(layout: blocks[0].layout, capacity: Self.blockSize) }

  /// Calls `body` for the examples of a range, in order, at most `batch.capacity` at once.
  func forEachBatch(
    of range: Range<Int>, filling batch: inout ExampleBatch, _ body: (ExampleBatch) throws -> Void
  ) rethrows {
    var next = range.lowerBound
    var number = firsts.partitioningIndex { $0 > next } - 1
    while next < range.upperBound {
      batch.removeAll()
      while next < range.upperBound, batch.count < batch.capacity {
        let first = next - firsts[number]
        let end = min(blocks[number].count, range.upperBound - firsts[number], first + batch.capacity - batch.count)
        batch.append(blocks[number].slice(first..<end))
        next = firsts[number] + end
        if end == blocks[number].count { number += 1 }
      }
      try body(batch)
    }
    batch.removeAll()
  }

  /// The same examples with other fids in one slot.
  func replacingFids(ofSlot slot: Int, _ replacement: (Fid) -> Fid) -> ExampleLog {
    ExampleLog(
      blocks.map { block in
        var block = block
        block.replaceFids(ofSlot: slot, replacement)
        return block
      })
  }

  /// The distinct fids of a slot.
  func fids(ofSlot slot: Int) -> Set<Fid> {
    var fids: Set<Fid> = []
    for block in blocks {
      for example in 0..<block.count {
        for position in block.fidRange(example: example, slot: slot) { fids.insert(block.fids[position]) }
      }
    }
    return fids
  }

  /// By example of a range, whether all of its fids of a slot occur before the range.
  func isKnown(slot: Int, in range: Range<Int>) -> [Bool] {
    var seen: Set<Fid> = []
    var known: [Bool] = []
    known.reserveCapacity(range.count)
    for (number, block) in blocks.enumerated() {
      for example in 0..<block.count where firsts[number] + example < range.upperBound {
        let fids = block.fidRange(example: example, slot: slot).map { block.fids[$0] }
        if range.contains(firsts[number] + example) {
          known.append(fids.allSatisfy { seen.contains($0) })
        } else {
          seen.formUnion(fids)
        }
      }
    }
    return known
  }
}

extension Array {
  /// The first index from which on a condition holds that, once it holds, holds for all that follow.
  fileprivate func partitioningIndex(_ condition: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if condition(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
