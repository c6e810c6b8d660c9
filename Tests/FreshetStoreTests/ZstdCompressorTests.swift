import FreshetCore
import FreshetStore
import Testing

@Suite struct ZstdCompressorTests {
  let compressor = ZstdCompressor(level: 1)

  func block(_ count: Int) -> [UInt8] {
    var random = SeededGenerator(seed: UInt64(count))
    return (0..<count).map { _ in UInt8.random(in: 0...3, using: &random) }
  }

  @Test(arguments: [0, 1, 100, 100_000])
  func blocksComeBackAsTheyWere(count: Int) throws {
    let original = block(count)
    let packed = original.withUnsafeBytes { compressor.compress($0) }
    let restored = try packed.withUnsafeBytes { try compressor.decompress($0, count: count) }
    #expect(restored == original)
    if count > 1_000 { #expect(packed.count < count / 2) }
  }

  @Test func aWrongLengthOrACutBlockThrows() {
    let packed = block(10_000).withUnsafeBytes { compressor.compress($0) }
    packed.withUnsafeBytes { raw in
      for count in [0, 9_999, 10_001] {
        #expect(throws: MalformedBlob.self) { try compressor.decompress(raw, count: count) }
      }
      #expect(throws: MalformedBlob.self) {
        try compressor.decompress(UnsafeRawBufferPointer(rebasing: raw.dropLast()), count: 10_000)
      }
    }
  }
}
