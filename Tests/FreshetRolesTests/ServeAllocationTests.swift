import CAllocationCount
import FreshetCore
import FreshetWire
import NIOCore
import Testing

@testable import FreshetRoles

@Suite struct ServeAllocationTests {
  /// Counts every allocation of this thread, those included that are freed at once.
  private func allocations(
    _ fixture: ServeFixture, _ encoder: inout RESPEncoder, _ work: (inout RESPEncoder) throws -> Void
  ) throws -> UInt64 {
    for _ in 0..<3 {
      encoder.buffer.clear()
      try work(&encoder)
    }
    let before = freshet_allocation_count()
    encoder.buffer.clear()
    try work(&encoder)
    return freshet_allocation_count() - before
  }

  @Test func aStreamOfRequestsAllocatesNothing() throws {
    let fixture = try ServeFixture.ready()
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
    encoder.buffer.reserveCapacity(1 << 20)
    let engine = fixture.engine
    let ids = (1...40).map(String.init)
    let words = ["SCORE", "shop"] + ServeReference.context.split(separator: " ").map(String.init)
    for (name, request) in [
      ("one", RESPRequest(words + ["item_id=3"])), ("many", RESPRequest(words + ["CANDIDATES", "item_id"] + ids)),
      ("unknown", RESPRequest(words + ["CANDIDATES", "item_id", "777", "778"])),
    ] {
      let count = try allocations(fixture, &encoder) { engine.write(try engine.score(request), to: &$0) }
      #expect(count == 0, "\(name)")
    }
    let candidates = ids.map { "{\"item_id\":\($0)}" }.joined(separator: ",")
    let document = "{\"context\":{\"user_id\":2,\"tags\":[\"x\"]},\"candidates\":[\(candidates)]}"
    let json = RESPRequest(["SCOREJSON", "shop", document])
    #expect(try allocations(fixture, &encoder) { engine.write(try engine.scoreJSON(json), to: &$0) } == 0)
  }

  @Test func whatChangesInTheCopyIsTakenOverWithoutAllocating() throws {
    let fixture = try ServeFixture.ready()
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
    encoder.buffer.reserveCapacity(1 << 20)
    let engine = fixture.engine
    let request = RESPRequest(
      ["SCORE", "shop", "user_id=2", "gender=F", "CANDIDATES", "item_id"] + (1...40).map(String.init))
    for _ in 0..<3 { engine.write(try engine.score(request), to: &encoder) }
    let reusedBefore = engine.scorer.reusedItems
    try fixture.train(seed: 77)
    try fixture.connect()
    let before = freshet_allocation_count()
    encoder.buffer.clear()
    engine.write(try engine.score(request), to: &encoder)
    #expect(freshet_allocation_count() == before)
    #expect(engine.scorer.reusedItems == reusedBefore)
  }
}
