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

  private static let golden: [String] = []

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
