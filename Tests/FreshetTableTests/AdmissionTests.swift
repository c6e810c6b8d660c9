import FreshetCore
import FreshetTableScript
import Testing

@testable import FreshetTable

@Suite struct AdmissionTests {
  /// Before its first round is over a counter has been halved once at most, and only in lines that the round has reached.
  @Test func theSketchNeverForgetsMoreThanItsAgeing() {
    var random = SeededGenerator(seed: 9)
    var sketch = CountingSketch(sizeBytes: 1 << 20)
    var counts: [Fid: Int] = [:]
    var short = 0
    let additions = 20_000
    for _ in 0..<additions {
      let fid = random.next() % 4 == 0 ? random.next() % 20 : random.next() % 5_000
      counts[fid, default: 0] += 1
      let count = counts[fid]!
      let estimate = sketch.add(fid)
      #expect(estimate >= min(255, (count - 1) / 2 + 1))
      if estimate < min(255, count) { short += 1 }
    }
    // 2,500 of 16,384 lines have been halved at the end, half as many on average.
    #expect(short < additions / 8)
  }

  @Test func beforeItsFirstAgeingTheSketchCountsExactlyOrMore() {
    for seed in 0..<500 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      var sketch = CountingSketch(sizeBytes: 64)
      var counts: [Fid: Int] = [:]
      for _ in 0..<7 {
        let fid = random.next() % 3
        counts[fid, default: 0] += 1
        #expect(sketch.add(fid) >= counts[fid]!)
      }
    }
  }

  /// A sketch that is used as documented, with one addition for each eight bytes.
  @Test func fewFidsAreCountedTooOftenAtTheStatedLoad() {
    let sizeBytes = 64 << 10
    var sketch = CountingSketch(sizeBytes: sizeBytes)
    var random = SeededGenerator(seed: 2)
    var above = 0
    for _ in 0..<sizeBytes / 8 where sketch.add(random.next()) > 1 { above += 1 }
    #expect(above < sizeBytes / 8 / 50, "\(above) of \(sizeBytes / 8) fids")
  }

  @Test func theSketchForgetsAFidThatComesNoMore() {
    var sketch = CountingSketch(sizeBytes: 4096)
    for count in 1...100 { #expect(sketch.add(5) >= count / 2) }
    // Eight rounds halve eight times.
    for _ in 0..<8 * 512 { _ = sketch.add(6) }
    #expect(sketch.add(5) <= 2)
  }

  @Test func aFidGetsItsRowWithTheUpdateThatMakesItsCount() {
    let table = makeTable(
      width: 2, .sgd(SGD(learningRate: 1)), admission: .minimumCount(3, sketchBytes: 1 << 16))
    for _ in 0..<2 { table.update([7], with: 1) }
    #expect(!table.contains(7) && table.rowCount == 0)
    #expect(table.weights(7).weights == [0, 0])
    table.update([7], with: 1)
    #expect(table.weights(7) == ([-1, -1], true))
    #expect(table.statistics.rejected == 2 && table.statistics.updates == 1)
    // An assignment does not ask.
    table.assign([8], to: 5)
    #expect(table.contains(8))
  }

  /// Within 5 standard errors.
  @Test(arguments: [0.02, 0.3, 0.9])
  func aProbabilityAdmitsItsShareOfTheUpdates(probability: Double) {
    let table = makeTable(
      width: 1, .sgd(SGD(learningRate: 1)), admission: .probability(probability, seed: 3))
    let count = 10_000
    table.update((0..<count).map { Fid($0) }, with: 1)
    let standardError = (probability * (1 - probability) / Double(count)).squareRoot()
    #expect(abs(Double(table.rowCount) / Double(count) - probability) < 5 * standardError)
  }

  @Test func aProbabilityDecidesTheSameForTheSameSeed() {
    func admitted(seed: UInt64) -> [Bool] {
      let table = makeTable(
        width: 1, .sgd(SGD(learningRate: 1)), admission: .probability(0.5, seed: seed))
      table.update((0..<500).map { Fid($0) }, with: 1)
      return (0..<500).map { table.contains(Fid($0)) }
    }
    #expect(admitted(seed: 1) == admitted(seed: 1))
    #expect(admitted(seed: 1) != admitted(seed: 2))
  }
}
