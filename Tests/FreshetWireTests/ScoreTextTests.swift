import FreshetCore
import NIOCore
import Testing

@testable import FreshetWire

@Suite struct ScoreTextTests {
  private func lines(_ scores: [Float], _ version: RESPVersion) throws -> [Double] {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: version)
    encoder.writeArrayHeader(count: scores.count)
    encoder.writeScores(scores, stride: 1, count: scores.count)
    var decoder = RESPReplyDecoder(limits: .replies)
    decoder.append(encoder.buffer)
    let reply = try #require(try decoder.next())
    #expect(try decoder.next() == nil)
    return try #require(reply.elements).map { try #require($0.double) }
  }

  @Test func everyScoreReadsBackAsTheSameDouble() throws {
    var random = SeededGenerator(seed: 8)
    var scores: [Float] = [0, 1, 0.5, 0.25, 0x1p-40, 0x1p-41, 1e-30, .leastNonzeroMagnitude]
    for decimal in [0.1, 0.01, 0.001, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12].map({ Float($0) }) {
      scores += [decimal.nextUp, decimal.nextDown, decimal]
    }
    scores += [Float(1).nextDown, 1 - 0x1p-20, 3.5, -0.25, .nan, .infinity]
    for _ in 0..<20_000 {
      scores.append(Float(random.nextUnit()))
      // Every exponent.
      scores.append(Float(bitPattern: UInt32(random.next() % UInt64(Float(1).bitPattern))))
    }
    for version in [RESPVersion.v2, .v3] {
      for (mine, score) in zip(try lines(scores, version), scores) {
        #expect(mine == Double(score) || (mine.isNaN && score.isNaN), "\(score)")
      }
    }
  }

  @Test func scoresAreShortWhereTheyCanBe() {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
    encoder.writeScores([0.5, 0.8125, 0.001, 1], stride: 1, count: 4)
    #expect(
      String(buffer: encoder.buffer)
        == "$3\r\n0.5\r\n$6\r\n0.8125\r\n$21\r\n0.0010000000474974513\r\n$1\r\n1\r\n")
    encoder = RESPEncoder(buffer: ByteBuffer(), version: .v3)
    encoder.writeScores([0.5, 0, 0.25], stride: 2, count: 2)
    #expect(String(buffer: encoder.buffer) == ",0.5\r\n,0.25\r\n")
  }
}
