import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

/// Layouts are also written down in docs/blob-formats.md: change both together.
@Suite struct MessageTests {
  static let report = BatchReport(
    tasks: [
      BatchReport.Task(
        loss: 0.5, predicted: 2,
        predictions: [Prediction(logit: 0, isPositive: true), Prediction(logit: -16, isPositive: false)]),
      BatchReport.Task(loss: 0, predicted: 0, predictions: []),
    ], exampleCount: 3, oldestIngest: UnixTime(milliseconds: 258), newestIngest: UnixTime(milliseconds: 259))

  static let delta = SyncFrame(
    kind: .delta, shard: ShardID(3), generation: 0x0102, sequence: 9, newestMinutes: 7, reported: 0x0203,
    watermarks: [(PartitionID(1), Offset(12)), (PartitionID(2), .none)],
    receipts: [
      BatchReceipt(
        partition: PartitionID(1), end: Offset(12), exampleCount: 4, oldestIngest: UnixTime(milliseconds: 5),
        newestIngest: UnixTime(milliseconds: 6))
    ],
    tables: [
      SyncFrame.Table(
        table: 2, width: 2, format: .float32, fids: [10, .max], tombstones: [11], weights: [1, -2, 0.5, 0])
    ])

  static let chunk = SyncFrame(
    kind: .base(
      from: ShardPosition.BaseCursor(table: 1, cursor: 5), next: ShardPosition.BaseCursor(table: 1, cursor: 0x1234)),
    shard: ShardID(3), generation: 1, sequence: 2, newestMinutes: 0, reported: 0, watermarks: [], receipts: [],
    tables: [SyncFrame.Table(table: 1, width: 1, format: .float32, fids: [1], tombstones: [], weights: [1])])

  static let request = SyncRequest(positions: [
    (ShardID(0x0102), ShardPosition(generation: 3, sequence: 4, base: nil)),
    (ShardID(1), ShardPosition(generation: 5, sequence: 6, base: ShardPosition.BaseCursor(table: 2, cursor: 0x0708))),
  ])

  static func decodeFrame(_ bytes: [UInt8], limit: Int = 1 << 20) throws -> SyncFrame {
    try bytes.withUnsafeBytes {
      try SyncFrame(decoding: $0, compressor: RunLengthCompressor(), maximumBodyBytes: limit)
    }
  }

  // MARK: - Golden bytes

  static func joined(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap(\.self) }

  @Test func aPullIsVersionSectionsAndFids() {
    let bytes = TestSection.pull([
      TestSection(shard: ShardID(0x0102), table: 3, fids: [5], withState: true),
      TestSection(shard: ShardID(4), table: 0, fids: [6, .max]),
    ])
    #expect(
      bytes == [
        2, 2, 0,
        2, 1, 3, 1, 1, 0, 0, 0,
        4, 0, 0, 0, 2, 0, 0, 0,
        5, 0, 0, 0, 0, 0, 0, 0,
        6, 0, 0, 0, 0, 0, 0, 0,
        255, 255, 255, 255, 255, 255, 255, 255,
      ])
  }

  @Test func aPushIsVersionMinutesReportSectionsFidsAndGradients() {
    let section = TestSection(shard: ShardID(1), table: 0, fids: [2], gradients: [1])
    let tail: [UInt8] = [1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f]
    #expect(TestSection.push([section], minutes: 0x0102) == [1, 2, 1, 0, 0, 0] + tail)
    #expect(
      TestSection.push([section], minutes: 0x0102, report: Self.report) == [
        1, 2, 1, 0, 0, 1,
        3, 0, 0, 0,
        2, 1, 0, 0, 0, 0, 0, 0,
        3, 1, 0, 0, 0, 0, 0, 0,
        2,
        2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0x18, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      ] + tail)
  }

  @Test func aSyncRequestIsAListOfPositions() throws {
    let bytes = Self.request.encode()
    #expect(
      bytes == [
        1, 2, 0,
        2, 1, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 2, 8, 7, 0, 0, 0, 0, 0, 0,
      ])
    #expect(try bytes.withUnsafeBytes { try SyncRequest(decoding: $0) } == Self.request)
  }

  @Test func aSyncFrameIsHeadBodyAndChecksum() {
    let delta = Self.delta.encode(compressor: NoCompressor())
    let expectedDelta: [UInt8] = Self.joined(
      [2, 0, 3, 0, 2, 1, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 0, 127, 0, 0, 0],
      [7, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0],
      [2, 0, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
      [1, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0],
      [5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
      [1, 2, 0, 2, 0, 2, 0, 0, 0, 1, 0, 0, 0],
      [10, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 11, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f, 0, 0, 0, 0])
    #expect(Array(delta.dropLast(8)) == expectedDelta)
    let chunk = Self.chunk.encode(compressor: NoCompressor())
    let expectedChunk: [UInt8] = Self.joined(
      [2, 1, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 62, 0, 0, 0, 62, 0, 0, 0],
      [1, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f])
    #expect(Array(chunk.dropLast(8)) == expectedChunk)
    for frame in [delta, chunk] {
      var writer = BinaryWriter(capacity: 8)
      writer.write(frame.dropLast(8).withUnsafeBytes { Hashing.xxh3($0) })
      #expect(Array(frame.suffix(8)) == writer.bytes)
    }
  }

  /// Weights in 16 bits stand in the table's place for them; the rest of the frame is as it was.
  @Test(arguments: [
    (WeightFormat.float16, [UInt8]([1, 0, 0x3c, 0, 0xc0, 0xff, 0x7b])),
    (.bfloat16, [2, 0x80, 0x3f, 0, 0xc0, 0x80, 0x47]),
  ])
  func weightsTravelInSixteenBitsIfTheTableSaysSo(format: WeightFormat, expected: [UInt8]) throws {
    let frame = SyncFrame(
      kind: .delta, shard: ShardID(0), generation: 1, sequence: 1, newestMinutes: 0, reported: 0, watermarks: [],
      receipts: [],
      tables: [
        SyncFrame.Table(table: 0, width: 3, format: format, fids: [1], tombstones: [], weights: [1, -2, 65_536])
      ])
    let bytes = frame.encode(compressor: NoCompressor())
    #expect(Array(bytes.dropLast(8).suffix(6)) == Array(expected.dropFirst()))
    #expect(bytes[32 + 4 + 8 + 2 + 4 + 1 + 1] == expected[0])
    let weights = try Self.decodeFrame(bytes).tables[0].weights
    #expect(weights == [1, -2, format == .float16 ? 65_504 : 65_536])
    var unknown = bytes
    unknown[32 + 4 + 8 + 2 + 4 + 1 + 1] = 3
    var writer = BinaryWriter(capacity: 8)
    writer.write(unknown.dropLast(8).withUnsafeBytes { Hashing.xxh3($0) })
    unknown.replaceSubrange((unknown.count - 8)..., with: writer.bytes)
    #expect(throws: MalformedBlob.self) { try Self.decodeFrame(unknown) }
  }

  // MARK: - Round trips

  @Test func aSyncFrameReadsBackAsItWasWritten() throws {
    let last = SyncFrame(
      kind: .base(from: .start, next: nil), shard: ShardID(0), generation: .max, sequence: .max, newestMinutes: .max,
      reported: .max,
      watermarks: [], receipts: [], tables: [])
    for frame in [Self.delta, Self.chunk, last] {
      for bytes in [frame.encode(compressor: NoCompressor()), frame.encode(compressor: RunLengthCompressor())] {
        let decoded = try Self.decodeFrame(bytes)
        #expect(decoded.kind == frame.kind && decoded.shard == frame.shard && decoded.generation == frame.generation)
        #expect(decoded.sequence == frame.sequence && decoded.newestMinutes == frame.newestMinutes)
        #expect(decoded.reported == frame.reported)
        #expect(decoded.receipts == frame.receipts && decoded.tables == frame.tables)
        #expect(decoded.watermarks.elementsEqual(frame.watermarks) { $0 == $1 })
      }
    }
  }

  @Test func aReceiptOfMoreExamplesThanItsFieldHoldsIsWrittenAsTheMost() throws {
    let receipt = BatchReceipt(
      partition: PartitionID(0), end: Offset(1), exampleCount: 1 << 33, oldestIngest: UnixTime(milliseconds: 0),
      newestIngest: UnixTime(milliseconds: 0))
    let frame = SyncFrame(
      kind: .delta, shard: ShardID(0), generation: 1, sequence: 1, newestMinutes: 0, reported: 0, watermarks: [],
      receipts: [receipt],
      tables: [])
    #expect(try Self.decodeFrame(frame.encode(compressor: NoCompressor())).receipts[0].exampleCount == Int(UInt32.max))
  }

  @Test func aClaimsReplyReadsBackFromItsIntegersAndRefusesOthers() {
    let reply = ClaimReply(
      epoch: Epoch(7),
      watermarks: [
        ClaimReply.ShardWatermark(shard: ShardID(0), watermark: .none, origin: .none),
        ClaimReply.ShardWatermark(shard: ShardID(2), watermark: Offset(5), origin: Offset(3)),
      ])
    #expect(reply.integers == [2, 7, 0, -1, -1, 2, 5, 3])
    #expect(ClaimReply(integers: reply.integers) == reply)
    for wrong: [Int64] in [
      [], [2], [2, 1, 0], [2, 1, 0, 5], [1, 1, 0, 5, 3], [3, 1, 0, 5, 3], [2, 1, -1, 5, 3], [2, 1, 65_536, 5, 3],
      [2, 1, 0, -2, -2], [2, 1, 0, 5, -2], [2, 1, 0, 5, 6],
      // Version 1: epoch 7, shard 0 at 5.
      [7, 0, 5],
    ] {
      #expect(ClaimReply(integers: wrong) == nil)
    }
  }

  @Test func aValidationReportReadsBackAndMerges() throws {
    var validation = ProgressiveValidation()
    validation.add(Self.report.tasks[0].predictions, loss: 0.5, predicted: 2)
    var report = ValidationReport(taskCount: 2)
    report.add(validation, task: 1)
    let bytes = report.encode()
    // A window is 33 bytes, and 8192 counters unless it is empty.
    #expect(bytes.count == 2 + 6 * 33 + 3 * 32_768)
    #expect(Array(bytes.prefix(2)) == [1, 2])
    var decoded = try bytes.withUnsafeBytes { try ValidationReport(decoding: $0) }
    #expect(decoded == report)
    try decoded.merge(report)
    #expect(decoded.tasks[1].total.count == 4 && decoded.tasks[1].total.loss == 1)
    #expect(throws: ClusterError.self) { try decoded.merge(ValidationReport(taskCount: 1)) }
  }

  @Test func aValidationReportWhoseCountsWouldOverflowIsRefused() {
    var writer = BinaryWriter(capacity: 256)
    writer.write(UInt8(1))
    writer.write(UInt8(1))
    for _ in 0..<3 {
      writer.write(UInt64.max - 1)
      for _ in 0..<3 { writer.write(UInt64(0)) }
      writer.write(UInt8(0))
    }
    #expect(throws: MalformedBlob.self) { try writer.bytes.withUnsafeBytes { try ValidationReport(decoding: $0) } }
  }

  @Test func coarseningKeepsEveryExampleAndNeverMakesFreshnessBetter() {
    func time(_ milliseconds: Int) -> UnixTime { UnixTime(milliseconds: Int64(milliseconds)) }
    var receipts: [BatchReceipt] = []
    for number in 0..<101 {
      receipts.append(
        BatchReceipt(
          partition: PartitionID(Int32(number % 3)), end: Offset(Int64(number)), exampleCount: 2,
          oldestIngest: time(number), newestIngest: time(number + 5)))
    }
    let before = receipts
    BatchReceipt.coarsen(&receipts)
    #expect(receipts.count <= before.count / 2 + 3)
    #expect(receipts.reduce(0) { $0 + $1.exampleCount } == 202)
    for receipt in before {
      let covering = receipts.filter { $0.partition == receipt.partition && $0.end >= receipt.end }
      #expect(covering.contains { $0.oldestIngest <= receipt.oldestIngest && $0.newestIngest >= receipt.newestIngest })
    }
  }

  // MARK: - Bytes from outside

  @Test func everySingleByteOfASyncFrameIsCoveredByTheChecksum() {
    for frame in [Self.delta, Self.chunk] {
      let bytes = frame.encode(compressor: RunLengthCompressor())
      for position in bytes.indices {
        for flip in [UInt8(1), 0x80, 0xff] {
          var wrong = bytes
          wrong[position] ^= flip
          #expect(throws: MalformedBlob.self, "byte \(position)") { try Self.decodeFrame(wrong) }
        }
      }
    }
  }

  @Test func aSyncFrameThatIsLargerThanAllowedIsRefused() {
    #expect(throws: MalformedBlob.self) {
      try Self.decodeFrame(Self.delta.encode(compressor: NoCompressor()), limit: 118)
    }
  }

  @Test func truncatedAndMutatedBlobsThrowOrReadButNeverTrap() throws {
    let map = ShardMap(shardCount: 4, serverCount: 1)
    let shard = ShardID(1)
    let section = TestSection(
      shard: shard, table: 0, fids: [TestModel.fid(of: shard, map: map)], gradients: [1, 2])
    let server = TestModel.tiny.server(of: map)
    let epoch = server.claim(PartitionID(0)).epoch
    var end: Int64 = 0
    func push(_ body: [UInt8]) throws {
      _ = try server.push(body, PartitionID(0), epoch, end == 0 ? -1 : end, end + 1)
      end += 1
    }
    func sync(_ body: [UInt8]) throws {
      let request = try body.withUnsafeBytes { try SyncRequest(decoding: $0) }
      _ = try server.sync(request, limitBytes: ShardServer.syncReplyBytes, compressor: NoCompressor())
    }
    let decoders: [(blob: [UInt8], body: ([UInt8]) throws -> Void)] = [
      (TestSection.pull([section]), { _ = try server.pull($0) }),
      (TestSection.push([section], report: Self.report), push),
      (Self.request.encode(), sync),
      (Self.delta.encode(compressor: NoCompressor()), { _ = try Self.decodeFrame(Self.sealed($0)) }),
      (Self.chunk.encode(compressor: RunLengthCompressor()), { _ = try Self.decodeFrame(Self.sealed($0)) }),
    ]
    var random = SeededGenerator(seed: 3)
    for (number, decoder) in decoders.enumerated() {
      for length in 0..<decoder.blob.count {
        #expect(throws: (any Error).self, "decoder \(number), \(length) bytes") {
          try decoder.body(Array(decoder.blob.prefix(length)))
        }
      }
      for _ in 0..<400 {
        var wrong = decoder.blob
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          let values: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, UInt8(truncatingIfNeeded: random.next())]
          wrong[Int.random(in: 0..<wrong.count, using: &random)] = values[Int(random.next() % 6)]
        }
        if random.next() % 4 == 0 { wrong.append(0) }
        do { try decoder.body(wrong) } catch { #expect(!"\(error)".isEmpty) }
      }
    }
  }

  /// With a checksum that matches, so that mutations reach what lies behind it.
  static func sealed(_ frame: [UInt8]) -> [UInt8] {
    guard frame.count >= 8 else { return frame }
    var writer = BinaryWriter(capacity: frame.count)
    frame.dropLast(8).withUnsafeBytes { writer.write($0) }
    writer.write(writer.bytes.withUnsafeBytes { Hashing.xxh3($0) })
    return writer.bytes
  }
}
