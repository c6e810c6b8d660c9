import FreshetCore
import Testing

@testable import FreshetCluster

@Suite struct BytePlanesTests {
  private func split(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: max(1, bytes.count)) { buffer, count in
      bytes.withUnsafeBytes { BytePlanes.split($0, into: UnsafeMutableRawPointer(buffer.baseAddress!)) }
      count = bytes.count
    }
  }

  private func join(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: max(1, bytes.count)) { buffer, count in
      bytes.withUnsafeBytes { BytePlanes.join($0, into: UnsafeMutableRawPointer(buffer.baseAddress!)) }
      count = bytes.count
    }
  }

  @Test func bytesOfWordsComeTogetherByPositionAndARestFollows() {
    #expect(
      split([1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24, 31, 32]) == [
        1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24, 31, 32,
      ])
    #expect(split([]) == [])
    #expect(split([7, 8, 9]) == [7, 8, 9])
  }

  @Test func joiningTakesSplittingBackForEveryLength() {
    var random = SeededGenerator(seed: 1)
    for length in Array(0...300) + [4096, 65_537] {
      let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      let planes = split(bytes)
      let words = length / 4
      for word in 0..<words {
        for byte in 0..<4 { #expect(planes[byte * words + word] == bytes[4 * word + byte]) }
      }
      #expect(join(planes) == bytes)
    }
  }
}
