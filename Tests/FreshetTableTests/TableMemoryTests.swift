import CAllocationCount
import FreshetCore
import FreshetTable
import Glibc
import Testing

@Suite(.serialized) struct TableMemoryTests {
  /// Resident memory of the process, without what other tests' files map.
  private static func residentBytes() throws -> Int {
    let file = try #require(fopen("/proc/self/statm", "r"))
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 200)
    try #require(fgets(&line, 200, file) != nil)
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return try #require(Int(text.split(separator: " ")[1])) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

  @Test func memoryReturnsWhenRowsGo() throws {
    let table = makeTable(width: 64, .weightsOnly)
    let fids = (0..<200_000).map { Fid($0) &* 0x9e37_79b9_7f4a_7c15 }
    let weights = [Float](repeating: 1, count: 1_000 * 64)
    let before = try Self.residentBytes()
    for start in stride(from: 0, to: fids.count, by: 1_000) {
      fids[start..<start + 1_000].withUnsafeBufferPointer { table.assign($0, weights: weights, minutes: 0) }
    }
    let peakSize = table.sizeBytes
    let peak = try Self.residentBytes() - before
    #expect(peakSize > 200_000 * (256 + 24))
    // What the table says is what the process has, but for the end of a huge page here and there.
    #expect(abs(peak - peakSize) < peakSize / 8, "\(peak) resident, \(peakSize) stated")
    table.remove(Array(fids.prefix(190_000)))
    let left = try Self.residentBytes() - before
    #expect(table.sizeBytes < peakSize * 35 / 100)
    #expect(left < peak * 35 / 100, "\(left) of \(peak) bytes are still resident")
  }

  /// Counts every allocation of this thread, those included that are freed at once.
  @Test(arguments: Optimizer.examples, WeightFormat.allCases)
  func steadyWorkAllocatesNothing(optimizer: Optimizer, format: WeightFormat) {
    let table = makeTable(
      width: 17, optimizer, format: format, rules: GradientRules(clipValue: 1, clipNorm: 1, l1: 0.1, l2: 0.1),
      expiry: Expiry(timeToLiveMinutes: 100, maximumRows: 1_000), feeds: 2, isSnapshotted: true)
    let fids = (0..<200).map { Fid($0) }
    let absent = (1_000..<1_100).map { Fid($0) }
    let gradients = [Float](repeating: 0.5, count: fids.count * 17)
    var output = gradients
    var answers = [Bool](repeating: false, count: fids.count)
    func work() {
      fids.withUnsafeBufferPointer { fids in
        table.update(fids, gradients: gradients, minutes: 3)
        table.assign(fids, weights: gradients, minutes: 4)
        output.withUnsafeMutableBufferPointer { table.gather(fids, into: $0.baseAddress!) }
        answers.withUnsafeMutableBufferPointer { table.contains(fids, into: $0.baseAddress!) }
      }
      output.withUnsafeMutableBufferPointer { _ = table.copyWeights(of: 7, into: $0.baseAddress!) }
      absent.withUnsafeBufferPointer { absent in
        table.remove(absent)
        output.withUnsafeMutableBufferPointer { table.gather(absent, into: $0.baseAddress!) }
      }
      var sum: Float = 0
      for feed in 0..<2 { table.takeTouched(feed: feed) { sum += $1[0] } }
      _ = table.scan(from: 0, limit: 50) { sum += $1[0] }
      _ = table.sweepExpired()
    }
    work()
    let before = freshet_allocation_count()
    table.update(fids, with: 1)
    #expect(freshet_allocation_count() > before, "allocations are not counted")
    work()
    let start = freshet_allocation_count()
    for _ in 0..<10 { work() }
    let allocations = freshet_allocation_count() - start
    #expect(allocations == 0)
  }
}
