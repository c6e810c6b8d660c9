import FreshetCore
import FreshetModel
import Testing

@Suite struct ExamplesTests {
  private let layout = ExampleLayout(fingerprint: 0xa1b2_c3d4, taskCount: 2, slotCount: 3, denseCount: 1)

  private let header = ExampleHeader(
    requestHash: 0x0102_0304_0506_0708, eventTimeMs: 1000, actionTimeMs: 2000, ingestTimeMs: 3000, weight: 1,
    negativeRate: 0.5, origin: .negative)

  private var record: [UInt8] {
    ExampleCodec.encode(header, labels: [1, 0], slots: [[7], [], [8, 9]], dense: [0.25], layout: layout)
  }

  private func append(_ bytes: [UInt8], _ batch: inout ExampleBatch, offset: Int64 = 5) throws {
    try bytes.withUnsafeBytes { try batch.append($0, offset: offset) }
  }

  /// The bytes of `docs/example-format.md`.
  @Test func theRecordHasTheDocumentedBytes() {
    let golden: [UInt8] =
      [1, 1, 0xd4, 0xc3, 0xb2, 0xa1, 8, 7, 6, 5, 4, 3, 2, 1]
      + [0xe8, 3, 0, 0, 0, 0, 0, 0, 0xd0, 7, 0, 0, 0, 0, 0, 0, 0xb8, 0x0b, 0, 0, 0, 0, 0, 0]
      + [0, 0, 0x80, 0x3f, 0, 0, 0, 0x3f]
      + [0, 0, 0x80, 0x3f, 0, 0, 0, 0]
      + [1, 0, 2]
      + [7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]
      + [0, 0, 0x80, 0x3e]
    #expect(record == golden)
  }

  @Test func aBatchHoldsWhatWasEncoded() throws {
    var batch = ExampleBatch(layout: layout, capacity: 10)
    try append(record, &batch)
    let other = ExampleHeader(
      requestHash: .max, eventTimeMs: -1, actionTimeMs: 0, ingestTimeMs: 1, weight: 2, negativeRate: 1,
      origin: .correctsLabels)
    try append(
      ExampleCodec.encode(other, labels: [.nan, 1], slots: [[], [1, 2], []], dense: [-1], layout: layout), &batch,
      offset: 9)
    #expect(batch.count == 2 && batch.offsets == [5, 9])
    #expect(batch.header(0) == header && batch.header(1) == other)
    #expect(batch.fids == [7, 8, 9, 1, 2] && batch.slotStarts == [0, 1, 1, 3, 3, 5, 5])
    #expect(batch.fidRange(example: 1, slot: 1) == 3..<5 && batch.fidRange(examples: 1..<2) == 3..<5)
    #expect(batch.labels[0...1] == [1, 0] && batch.labels[2].isNaN && batch.labels[3] == 1)
    #expect(batch.dense == [0.25, -1])
    #expect([4, 5, 6, 9, 10].map { batch.firstExample(atOrAfter: $0) } == [0, 0, 1, 1, 2])
    batch.removeAll()
    try append(record, &batch)
    #expect(batch.fids == [7, 8, 9] && batch.slotStarts == [0, 1, 1, 3] && batch.count == 1)
  }

  /// Flags are of `docs/example-format.md`; those that it does not list are refused.
  @Test func theFlagsSayWhatAnExampleWasMadeOf() throws {
    for flags in 0...UInt8.max {
      var bytes = record
      bytes[1] = flags
      var batch = ExampleBatch(layout: layout, capacity: 1)
      let origins: [UInt8: ExampleOrigin] = [0: .actions, 1: .negative, 2: .correctsNegative, 4: .correctsLabels]
      if let origin = origins[flags] {
        try append(bytes, &batch)
        #expect(batch.origins == [origin])
      } else {
        #expect(throws: ExampleError.self) { try append(bytes, &batch) }
      }
    }
  }

  @Test func aRowToBeScoredHasNoLabels() throws {
    let bench = try FeatureBench(.movieLens)
    var batch = ExampleBatch(layout: bench.extractor.layout, capacity: 4)
    for _ in 0..<2 { batch.append(try bench.row(#"{"user_id":1,"genres":["a","b"]}"#)) }
    #expect(batch.labels.count == 2 && batch.labels.allSatisfy(\.isNaN))
    #expect(batch.fidRange(example: 1, slot: 7) == 4..<6 && batch.fids.count == 6)
  }

  @Test func everyTruncationIsAnErrorAndChangesNothing() throws {
    var batch = ExampleBatch(layout: layout, capacity: 10)
    for count in 0..<record.count {
      #expect(throws: ExampleError.self) { try append(Array(record.prefix(count)), &batch) }
    }
    #expect(throws: ExampleError.self) { try append(record + [0], &batch) }
    #expect(batch.isEmpty && batch.fids.isEmpty && batch.slotStarts == [0] && batch.labels.isEmpty)
  }

  @Test func everyMutationIsDecodedOrAnError() throws {
    var generator = SeededGenerator(seed: 3)
    var batch = ExampleBatch(layout: layout, capacity: 10)
    var decoded = 0
    for _ in 0..<4000 {
      var bytes = record
      for _ in 0...Int(generator.next() % 3) {
        bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next())
      }
      batch.removeAll()
      if (try? append(bytes, &batch)) != nil { decoded += 1 }
      #expect(batch.slotStarts.count == batch.count * 3 + 1 && Int(batch.slotStarts.last!) == batch.fids.count)
    }
    #expect(decoded > 400 && decoded < 3600)
  }

  @Test func anotherSchemaOrVersionIsADistinctError() throws {
    var batch = ExampleBatch(
      layout: ExampleLayout(fingerprint: 1, taskCount: 2, slotCount: 3, denseCount: 1), capacity: 1)
    do { try append(record, &batch) } catch let error as ExampleError {
      #expect(error.kind == .schemaMismatch)
      #expect(error.message.contains("0xa1b2c3d4") && error.message.contains("0x1"))
    }
    var bytes = record
    bytes[0] = 2
    do { try append(bytes, &batch) } catch let error as ExampleError { #expect(error.kind == .unknownVersion) }
    #expect(batch.isEmpty)
  }

  @Test func aBatchSaysWhenAnotherExampleMightNotFit() throws {
    var batch = ExampleBatch(layout: layout, capacity: 2, fidCapacity: 3 * 255)
    #expect(!batch.isFull)
    try append(record, &batch)
    #expect(batch.isFull, "three fids are taken, so that 765 may not fit")
    var other = ExampleBatch(layout: layout, capacity: 2)
    try append(record, &other)
    #expect(!other.isFull)
    try append(record, &other)
    #expect(other.isFull)
  }
}
