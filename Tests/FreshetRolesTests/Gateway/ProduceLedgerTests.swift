import FreshetCore
import FreshetKafka
import Testing

@testable import FreshetRoles

@Suite struct ProduceLedgerTests {
  private static let failed = KafkaDelivery.failed(KafkaError(.timedOut, "late"), mayBeWritten: true)

  @Test func aRequestIsDoneWhenItsLastRecordIsInWhateverTheOrder() throws {
    var ledger = ProduceLedger(.init(records: 10, bytes: 100))
    let first = try ledger.admit(records: 3, bytes: 30)
    let second = try ledger.admit(records: 1, bytes: 70)
    #expect(first != second && ledger.recordsInFlight == 4 && ledger.bytesInFlight == 100)
    #expect(ledger.settle(tag: ProduceLedger.tag(first, record: 2), .written(PartitionID(1), Offset(7))) == nil)
    let settled = ledger.settle(tag: ProduceLedger.tag(second, record: 0), Self.failed)
    let done = try #require(settled)
    #expect(done.request == second && done.deliveries.count == 1)
    #expect(ledger.settle(tag: ProduceLedger.tag(first, record: 0), .written(PartitionID(0), Offset(5))) == nil)
    let lastSettled = ledger.settle(tag: ProduceLedger.tag(first, record: 1), Self.failed)
    let last = try #require(lastSettled)
    #expect(last.request == first)
    let offsets = last.deliveries.map { if case .written(_, let offset) = $0 { Int(offset.value) } else { -1 } }
    #expect(offsets == [5, -1, 7])
    #expect(ledger.recordsInFlight == 0 && ledger.bytesInFlight == 0)
  }

  @Test func whatWouldExceedABoundIsRefusedWholeAndLeavesNoTrace() throws {
    var ledger = ProduceLedger(.init(records: 4, bytes: 100))
    let request = try ledger.admit(records: 3, bytes: 60)
    for (records, bytes, kind) in [
      (2, 1, WriteRefusal.Kind.full), (1, 41, .full), (5, 1, .tooLarge), (1, 101, .tooLarge),
    ] {
      let refusal = #expect(throws: WriteRefusal.self) { try ledger.admit(records: records, bytes: bytes) }
      #expect(refusal?.kind == kind)
    }
    #expect(ledger.recordsInFlight == 3 && ledger.bytesInFlight == 60)
    // A record that is in makes room for another one; bytes are held until the whole request is.
    _ = ledger.settle(tag: ProduceLedger.tag(request, record: 0), Self.failed)
    _ = try ledger.admit(records: 2, bytes: 40)
    #expect(ledger.recordsInFlight == 4 && ledger.bytesInFlight == 100)
  }

  @Test func whatIsGivenUpIsKnownAsFarAsItIsKnown() throws {
    var ledger = ProduceLedger(.init(records: 10, bytes: 100))
    let request = try ledger.admit(records: 2, bytes: 2)
    _ = ledger.settle(tag: ProduceLedger.tag(request, record: 1), .written(PartitionID(0), Offset(3)))
    let abandoned = ledger.abandon(Self.failed)
    #expect(abandoned.map(\.request) == [request])
    #expect(abandoned[0].deliveries.map { $0.failure == nil } == [false, true])
    #expect(ledger.recordsInFlight == 0 && ledger.bytesInFlight == 0)
    #expect(ledger.settle(tag: ProduceLedger.tag(request, record: 0), Self.failed) == nil)
    _ = try ledger.admit(records: 10, bytes: 100)
  }

  @Test func aLongRunOfRequestsAgreesWithACountOfThem() throws {
    let bounds = ProduceLedger.Bounds(records: 20, bytes: 500)
    var ledger = ProduceLedger(bounds)
    var generator = SeededGenerator(seed: 11)
    var open: [(id: ProduceLedger.RequestID, left: [Int], count: Int, bytes: Int)] = []
    for _ in 0..<5_000 {
      if generator.nextUnit() < 0.5 {
        let (records, bytes) = (Int.random(in: 1...6, using: &generator), Int.random(in: 0...120, using: &generator))
        let inFlight = open.reduce(0) { $0 + $1.left.count }
        let fits = inFlight + records <= bounds.records && open.reduce(bytes) { $0 + $1.bytes } <= bounds.bytes
        let id = try? ledger.admit(records: records, bytes: bytes)
        #expect((id != nil) == fits)
        if let id { open.append((id, Array(0..<records), records, bytes)) }
      } else if !open.isEmpty {
        let at = Int.random(in: open.indices, using: &generator)
        let record = open[at].left.remove(at: Int.random(in: open[at].left.indices, using: &generator))
        let tag = ProduceLedger.tag(open[at].id, record: record)
        #expect(tag != 0)
        let done = ledger.settle(tag: tag, .written(PartitionID(0), Offset(Int64(record))))
        #expect((done != nil) == open[at].left.isEmpty)
        if let done {
          #expect(done.request == open[at].id && done.deliveries.count == open[at].count)
          open.remove(at: at)
        }
      }
      #expect(ledger.recordsInFlight == open.reduce(0) { $0 + $1.left.count })
      #expect(ledger.bytesInFlight == open.reduce(0) { $0 + $1.bytes })
    }
  }
}
