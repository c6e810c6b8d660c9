import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// Prints how fast MovieLens-like records are joined, if `FRESHET_JOIN_EVENTS` says how many of each topic; else runs a few.
@Suite(.serialized) struct JoinerSpeedTests {
  private static func texts(_ count: Int) -> (features: [[UInt8]], actions: [[UInt8]], items: [String]) {
    var generator = SeededGenerator(seed: 1)
    var features: [[UInt8]] = []
    var actions: [[UInt8]] = []
    for index in 0..<count {
      let user = Int(generator.next() % 6040) + 1
      let item = Int(generator.next() % 3706) + 1
      let time = 956_703_932_000 + index * 94_000
      let request = "ml1m-\(user)-\(item)-\(time)"
      features.append(
        Array(
          (#"{"request_id":"\#(request)","event_time":\#(time),"user_id":\#(user),"item_id":\#(item),"#
            + #""gender":"F","age":25,"occupation":\#(index % 21),"zip":"48067"}"#).utf8))
      actions.append(
        Array(
          (#"{"request_id":"\#(request)","event_time":\#(time + 1_800_000),"user_id":\#(user),"#
            + #""action":"rating","value":\#(index % 5 + 1)}"#).utf8))
    }
    let items = (1...3706).map {
      #"{"item_id":\#($0),"title":"Title \#($0) (1995)","year":1995,"genres":["Drama","Comedy"]}"#
    }
    return (features, actions, items)
  }

  @Test func theJoinerKeepsUpAndLosesNothing() throws {
    let count = getenv("FRESHET_JOIN_EVENTS").flatMap { Int(String(cString: $0)) } ?? 3000
    let (features, actions, items) = Self.texts(count)
    let extractor = try FeatureExtractor(.movieLens)
    let reader = JSONRecordReader(maxBytes: 10_000, maxDepth: 8)
    let scratch = extractor.makeScratch()
    let catalog = ItemCatalog(capacity: 10_000)
    for item in items { try Array(item.utf8).withUnsafeBytes { try catalog.upsert($0, extractor, reader, scratch) } }
    var now = Instant(nanoseconds: 1_000_000)
    let partition = try JoinerPartition(
      config: JoinerConfig(), extractor: extractor, from: .start, itemsAsOf: UnixTime(milliseconds: 0), now: now)
    let output = JoinerOutput()
    var examples = 0
    var records: [[UInt8]] = []
    let start = Instant.now()
    for base in stride(from: 0, to: count, by: 500) {
      let end = min(count, base + 500)
      for (topic, texts) in [(JoinerTopic.features, features), (.actions, actions)] {
        for index in base..<end {
          texts[index].withUnsafeBytes {
            partition.receive(
              topic, JoinerRecord(offset: Int64(index), appendTimeMs: 1_700_000_000_000, payload: $0), now: now)
          }
        }
      }
      _ = partition.run(catalog: catalog, now: now, output: output)
      examples += output.examples.count
      if records.count < 2000 { records += output.examples.map { Array(output.value($0)) } }
      output.removeAll()
    }
    partition.reachedEnd(.features, now: now)
    partition.reachedEnd(.actions, now: now)
    now = now.advanced(byMs: 60_000)
    partition.confirmedEnd(.features, now: now)
    partition.confirmedEnd(.actions, now: now)
    _ = partition.run(catalog: catalog, now: now, output: output)
    examples += output.examples.count
    let seconds = Instant.now().milliseconds(since: start) / 1000
    #expect(examples == count)
    #expect(partition.counters.deadLetters.allSatisfy { $0 == 0 })
    if count > 3000 {
      print("joiner: \(2 * count) events in \(seconds) s, \(Int(Double(2 * count) / seconds)) events/s")
      try measureDecoding(records, extractor.layout)
    }
  }

  private func measureDecoding(_ records: [[UInt8]], _ layout: ExampleLayout) throws {
    var batch = ExampleBatch(layout: layout, capacity: records.count)
    let start = Instant.now()
    for _ in 0..<50 {
      batch.removeAll()
      for (index, record) in records.enumerated() {
        try record.withUnsafeBytes { try batch.append($0, offset: Int64(index)) }
      }
    }
    let ns = Instant.now().milliseconds(since: start) * 1e6 / Double(50 * records.count)
    print("decode: \(Int(ns)) ns per example of \(batch.fids.count / records.count) fids")
  }
}
