import FreshetCore
import Testing

@testable import FreshetCluster

@Suite struct RequestIndexTests {
  @Test(arguments: 1...6) func theIndexIsTheOneOfADictionary(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let slots = UnsafeMutablePointer<Impression>.allocate(capacity: 5000)
    defer { slots.deallocate() }
    let block = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
    defer { block.deallocate() }
    let index = RequestIndex()
    var model: [UInt64: Int] = [:]
    // Many hashes share their upper half, and homes lie side by side.
    let hashes = (0..<3000).map { _ in (generator.next() % 700) << 32 | generator.next() % 20 }
    var used = 0
    for step in 0..<20_000 {
      let hash = hashes[Int(generator.next() % 3000)]
      switch generator.next() % 3 {
      case 0 where used < 5000:
        (slots + used).initialize(
          to: Impression(
            requestHash: hash, itemHash: 0, timeMs: 0, appendTimeMs: 0, offset: 0, block: block, chunk: 0, partCount: 0,
            userKeyCount: 0, itemKeyCount: 0))
        index.insert(hash, used, slots)
        model[hash] = used
        used += 1
      case 1:
        if let slot = model.removeValue(forKey: hash) { index.remove(hash, slot) }
        index.remove(hash, 5000 + step % 100)
      default: break
      }
      #expect(index.find(hash, slots) == model[hash])
    }
    #expect(index.count == model.count && model.count > 500)
    for hash in hashes { #expect(index.find(hash, slots) == model[hash]) }
  }

  @Test func closingsComeInTheOrderOfTheirTimesFromMemoryAndDisk() throws {
    for seed in UInt64(1)...20 {
      var generator = SeededGenerator(seed: seed)
      let state = MemoryState()
      var queue = ClosingQueue(disk: StateAccess(state), chunk: Int(generator.next() % 5) + 1)
      var model: [DeadlineHeap.Entry] = []
      var time: Int64 = 0
      var offset: Int64 = 0
      for _ in 0..<300 {
        for _ in 0..<generator.next() % 6 {
          offset += 1
          let entry = DeadlineHeap.Entry(
            deadlineMs: time + Int64(generator.next() % 100) - 5, offset: offset, reference: generator.next())
          queue.insert(entry)
          model.append(entry)
        }
        time += Int64(generator.next() % 12)
        model.sort { ($0.deadlineMs, $0.offset) < ($1.deadlineMs, $1.offset) }
        while let entry = queue.first(before: time) {
          queue.removeFirst()
          #expect(entry.offset == model.first?.offset && entry.reference == model.first?.reference)
          model.removeFirst()
        }
        #expect(model.first.map { $0.deadlineMs >= time } ?? true)
        if generator.next() % 3 == 0 {
          let batch = JoinerStateBatch()
          queue.write(to: batch, fromMs: time)
          try state.apply(batch, expiry: JoinerStateExpiry(impressionsBeforeMs: .min, closingsBeforeMs: time))
          queue.trim()
        }
      }
    }
  }
}
