import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

/// The bytes of data files: docs/snapshot-format.md.
@Suite struct SnapshotFormatTests {
  let store = MemoryStore()
  let name = SnapshotSamples.plan().fileName

  private func file(compressor: any BlockCompressor) -> [UInt8] {
    SnapshotSamples.write(to: store, compressor: compressor)
    return store.files[name]!
  }

  @Test func aFileIsTheBytesThatItsDocumentShows() {
    let hex = file(compressor: NoCompressor()).map { String(UInt16($0) + 0x100, radix: 16).dropFirst() }
    let lines = stride(from: 0, to: hex.count, by: 32).map { hex[$0..<min($0 + 32, hex.count)].joined() }
    #expect(lines == Self.golden, "\(lines.joined(separator: "\n"))")
  }

  private static let golden = [
    "46525348534e4150010000000000000001000000ffff00000000000000000000",
    "6b0100006b010000000000000000000001000300100000000c00000000000000",
    "efbeadde000000000b00000000000000efbeadde000000008877665544332211",
    "7b68e5cf8b0100004d0000000200000000000000640000000000000005000000",
    "0000000002000000ffffffffffffffffffffffffffffffff0200040075736572",
    "01000003080000003c0000000400000000000000000200000000000000460000",
    "0008000000010000000000000002000000000000000300000000000000040000",
    "0000000000050000000000000006000000000000000700000000000000090000",
    "00000000000a00000000000000400000000000000000050064656e7365010002",
    "0104000000000000000000000000000000000000000000000000460000000800",
    "0000010000000000000002000000000000000300000000000000040000000000",
    "0000050000000000000006000000000000000700000000000000090000000000",
    "00000a000000000000000000000000000000010b000000000000009089c14c93",
    "2034810200040000000000010000000200000010000000100000000000000000",
    "000000f7f30100f6f20000f5f10000f4f000002ccde5841f19de930300040000",
    "0000000200000002000000280000002800000000000000000000000804090007",
    "03000006020000050100000d0e0c000b000a002024282c2125292d22262a2e23",
    "272b2ff5ea04236ec3d4b2040000000000000003000000000000004000000040",
    "0000000000000000000000010101010101010101010101010101010101010101",
    "0101010101010101010101010101010101010101010101010101010101010101",
    "0101010101010101010101e264dc9e71835eb405000400ffff00000400000000",
    "0000002d0000002d000000000000000000000000000100000000000000000400",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "7aaeb4735940247806000000ffff000005000000000000003000000030000000",
    "0000000000000000020000000000000002000000000000001002000000000000",
    "05000000000000004003000000000000249b418a427d177940a6ddb9876c6a39",
  ]

  @Test(arguments: [true, false]) func whatWasWrittenIsRead(isCompressed: Bool) throws {
    let compressor: any BlockCompressor = isCompressed ? RunLengthCompressor() : NoCompressor()
    guard case .stored(ticket: 1, let result)? = SnapshotSamples.write(to: store, compressor: compressor) else {
      Issue.record("not stored")
      return
    }
    // One byte at a time, as a slow connection gives them.
    store.readLimit = 1
    let (reader, parts) = try store.readSnapshot(name, compressor: compressor)
    #expect(reader.header == SnapshotSamples.header)
    #expect(describe(parts) == describe(SnapshotSamples.parts))
    #expect(reader.sizeBytes == store.files[name]!.count)
    #expect(reader.checksum == result.file.checksum)
    #expect((result.rows, result.tombstones, result.rawBytes) == (reader.rows, reader.tombstones, reader.rawBytes))
    #expect((reader.rows, reader.tombstones) == (2, 2))
    let manifest = try SnapshotManifest(reading: SnapshotSamples.id.manifestName, from: store)
    #expect(manifest.chain == [SnapshotSamples.parent, result.file])
    #expect(result.file.sizeBytes == reader.sizeBytes)
    // The sketch is 64 equal bytes.
    let codecs = blocks(of: store.files[name]!).map { store.files[name]![$0.lowerBound + 1] }
    #expect(codecs.contains(200) == isCompressed)
    #expect(codecs.contains(0))
  }

  private func describe(_ parts: [SnapshotPart]) -> [String] { parts.map { "\($0)" } }

  @Test func everyChangedByteIsFound() {
    for compressor in [NoCompressor(), RunLengthCompressor()] as [any BlockCompressor] {
      let bytes = file(compressor: compressor)
      for position in bytes.indices {
        for mask: UInt8 in [1, 0x80, 0xff] {
          store.flip(name, at: position, mask: mask)
          #expect(throws: SnapshotError.self, "byte \(position)") {
            try store.readSnapshot(name, compressor: compressor)
          }
          store.flip(name, at: position, mask: mask)
        }
      }
    }
  }

  @Test func everyMissingEndAndEveryExtraByteIsFound() {
    let bytes = file(compressor: NoCompressor())
    for count in bytes.indices {
      store.put(name, Array(bytes[..<count]))
      #expect(throws: SnapshotError.self, "\(count) bytes") { try store.readSnapshot(name, compressor: NoCompressor()) }
    }
    store.put(name, bytes + [0])
    #expect(throws: SnapshotError.self) { try store.readSnapshot(name, compressor: NoCompressor()) }
  }

  @Test func blocksThatAreMissingTwiceThereOrExchangedAreFound() {
    let bytes = file(compressor: NoCompressor())
    let blocks = blocks(of: bytes)
    #expect(blocks.count == 6)
    func expectRefusal(_ order: [Int]) {
      var changed = Array(bytes[..<16])
      for (number, block) in order.enumerated() {
        var block = Array(bytes[blocks[block]])
        // As a writer would number and seal them.
        withUnsafeBytes(of: UInt32(number).littleEndian) { block.replaceSubrange(12..<16, with: $0) }
        changed += reseal(block)
      }
      store.put(name, changed)
      #expect(throws: SnapshotError.self, "\(order)") { try store.readSnapshot(name, compressor: NoCompressor()) }
    }
    for missing in blocks.indices { expectRefusal(blocks.indices.filter { $0 != missing }) }
    for twice in blocks.indices { expectRefusal(blocks.indices.flatMap { $0 == twice ? [$0, $0] : [$0] }) }
    for first in blocks.indices.dropLast() {
      var order = Array(blocks.indices)
      order.swapAt(first, first + 1)
      expectRefusal(order)
    }
  }

  /// Nobody but a program with an error writes such bytes; they must not stop the process either.
  @Test func damageWithRightChecksumsIsRefusedOrReadButNeverTraps() {
    let compressor = RunLengthCompressor()
    let bytes = file(compressor: compressor)
    let blocks = blocks(of: bytes)
    var random = SeededGenerator(seed: 5)
    var refusals = 0
    for round in 0..<4000 {
      let number = round % blocks.count
      var block = Array(bytes[blocks[number]])
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let position = Int.random(in: 0..<block.count - 8, using: &random)
        block[position] =
          random.next() % 2 == 0
          ? [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &random)! : UInt8.random(in: 0...255, using: &random)
      }
      let changed = bytes[..<blocks[number].lowerBound] + reseal(block) + bytes[blocks[number].upperBound...]
      store.put(name, refooter(Array(changed)))
      do {
        _ = try store.readSnapshot(name, compressor: compressor)
      } catch {
        refusals += 1
        #expect(error.kind == .malformed)
      }
    }
    #expect(refusals > 2000)
  }

  /// Where each block of a well-formed file lies.
  private func blocks(of bytes: [UInt8]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var position = 16
    while position + 32 <= bytes.count {
      let stored = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position + 20, as: UInt32.self) }
      let end = position + 32 + Int(stored) + 8
      guard end <= bytes.count else { return ranges }
      ranges.append(position..<end)
      position = end
    }
    return ranges
  }

  /// The block with the checksum of its bytes.
  private func reseal(_ block: [UInt8]) -> [UInt8] {
    var writer = BinaryWriter(capacity: block.count)
    block[..<(block.count - 8)].withUnsafeBytes { writer.write($0) }
    writer.write(writer.bytes.withUnsafeBytes { Hashing.xxh3($0) })
    return writer.bytes
  }

  /// The file with a footer that has the checksum of its blocks.
  private func refooter(_ bytes: [UInt8]) -> [UInt8] {
    guard let footer = blocks(of: bytes).last, footer.upperBound == bytes.count, footer.count == 88 else {
      return bytes
    }
    let checksums = blocks(of: bytes).dropLast().map { block in
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: block.upperBound - 8, as: UInt64.self) }
    }
    var block = Array(bytes[footer])
    withUnsafeBytes(of: SnapshotBlockEncoder.fileChecksum(checksums).littleEndian) {
      block.replaceSubrange(72..<80, with: $0)
    }
    return bytes[..<footer.lowerBound] + reseal(block)
  }
}
