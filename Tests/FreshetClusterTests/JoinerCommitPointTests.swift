import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

@Suite struct JoinerCommitPointTests {
  @Test func theTextIsShortAndReadsBack() throws {
    let largest = JoinerCommitPoint(
      featureLow: .max, featureNext: .max, actionLow: .max, actionNext: .max, streamTimeMs: .max)
    #expect(largest.text.utf8.count <= 200)
    for point in [largest, .start] { #expect(try JoinerCommitPoint(text: point.text) == point) }
    #expect(JoinerCommitPoint.start.text == "j1 0 0 0 0 -")
  }

  @Test(arguments: ["", "j2 0 0 0 0 -", "j1 0 0 0 0", "j1 1 0 0 0 5", "j1 0 0 x 0 5", "j1 0 0 0 0 - ", "j1 -1 0 0 0 -"])
  func anotherTextIsAnError(text: String) {
    #expect(throws: JoinerError.self) { try JoinerCommitPoint(text: text) }
  }

  @Test func theLowWatermarksFollowTheWindow() throws {
    let bench = try JoinerBench()
    for offset in 0..<2000 {
      bench.feature(Int64(offset), "r\(offset)", at: 5000 + Int64(offset) * 10)
      bench.action(Int64(offset), "r\(offset)", at: 5000 + Int64(offset) * 10)
    }
    try bench.settle()
    let point = try #require(bench.partition.commitPoint)
    #expect(point.featureNext == 2000 && point.actionNext == 2000)
    #expect(point.featureLow == 2000 - 111, "1100 ms are 110 records and the last one")
    #expect(point.actionLow <= point.featureLow && point.actionLow > 2000 - 111 - 256)
    #expect(point.streamTimeMs == 24_990)
  }
}
