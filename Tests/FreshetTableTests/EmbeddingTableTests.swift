import FreshetCore
import Testing

@testable import FreshetTable

@Suite struct EmbeddingTableTests {
  static func layout(
    width: Int, optimizer: Optimizer, weightFormat: WeightFormat = .float32, rules: GradientRules = .none,
    admission: Admission = .everything, expiry: Expiry = .never
  ) -> TableLayout {
    TableLayout(
      name: "test", width: width, weightFormat: weightFormat, optimizer: optimizer, gradientRules: rules,
      initializer: .uniform(bound: 0.1, columns: max(1, width - 1), seed: 5), admission: admission, expiry: expiry)
  }

  @Test func aScanInChunksVisitsEveryRowOnce() {
    let table = EmbeddingTable(layout: Self.layout(width: 3, optimizer: .sgd(SGD(learningRate: 1))), feeds: 1)
    let fids = (0..<5_000).map { Fid($0) &* 977 }
    let zeros = [Float](repeating: 0, count: fids.count * 3)
    fids.withUnsafeBufferPointer { table.update($0, gradients: zeros, minutes: 0) }
    let gone = Array(fids.prefix(1_500))
    gone.withUnsafeBufferPointer { _ = table.remove($0) }
    var seen = Set<Fid>()
    var cursor: Int? = 0
    while let from = cursor {
      cursor = table.scan(from: from, limit: 97) { fid, _ in #expect(seen.insert(fid).inserted) }
    }
    #expect(seen == Set(fids.dropFirst(1_500)))
  }

  @Test func aGradientThatIsNotFiniteMakesNoRowChangesNoWeightAndIsCounted() {
    let table = EmbeddingTable(layout: Self.layout(width: 9, optimizer: .sgd(SGD(learningRate: 1))), feeds: 1)
    let fids: [Fid] = [1, 2, 3]
    var gradients = [Float](repeating: 1, count: 27)
    gradients[4] = .nan
    gradients[26] = .infinity
    fids.withUnsafeBufferPointer { table.update($0, gradients: gradients, minutes: 0) }
    #expect(table.rowCount == 1)
    #expect(table.contains(2))
    #expect(table.statistics.nonFiniteGradients == 2)
    let before = table.row(2)
    gradients[12] = -.infinity
    fids.withUnsafeBufferPointer { table.update($0, gradients: gradients, minutes: 0) }
    #expect(table.row(2) == before)
    #expect(table.rowCount == 1)
    #expect(table.statistics.nonFiniteGradients == 5)
    #expect(table.statistics.updates == 1)
  }

  @Test func aGradientIsRefusedWhicheverOfItsElementsIsNotFinite() {
    for width in Array(1...40) + [63, 64, 65, 128] {
      let table = EmbeddingTable(layout: Self.layout(width: width, optimizer: .sgd(SGD(learningRate: 1))), feeds: 1)
      table.update([7], with: 1)
      let before = table.row(7)
      var gradients = [Float](repeating: 0.5, count: width)
      for position in 0..<width {
        for value in [Float.nan, .infinity, -.infinity, .signalingNaN] {
          gradients[position] = value
          table.update([7], gradients: gradients)
          table.update([8], gradients: gradients)
        }
        gradients[position] = .greatestFiniteMagnitude
      }
      #expect(table.row(7) == before && table.row(8) == nil)
      #expect(table.statistics.nonFiniteGradients == UInt64(8 * width) && table.statistics.updates == 1)
      // As large as they are, these are numbers.
      table.update([7], gradients: gradients)
      #expect(table.statistics.updates == 2)
    }
  }

  @Test func removedFidsAreReportedAsTombstonesUnlessTheyCameBack() {
    let table = EmbeddingTable(layout: Self.layout(width: 1, optimizer: .sgd(SGD(learningRate: 1))), feeds: 1)
    let fids: [Fid] = [10, 11, 12]
    fids.withUnsafeBufferPointer { table.update($0, gradients: [1, 1, 1], minutes: 0) }
    fids.withUnsafeBufferPointer { _ = table.remove($0) }
    [Fid(11)].withUnsafeBufferPointer { table.update($0, gradients: [1], minutes: 0) }
    #expect(table.takeRemoved(feed: 0) == [10, 12])
    #expect(table.takeRemoved(feed: 0) == [])
  }

  @Test func initialWeightsAreAFunctionOfSeedAndFidAlone() {
    let table = EmbeddingTable(layout: Self.layout(width: 17, optimizer: .sgd(SGD(learningRate: 1))), feeds: 1)
    let first = table.weights(42)
    #expect(!first.exists)
    #expect(first.weights == table.weights(42).weights)
    #expect(first.weights != table.weights(43).weights)
    #expect(first.weights.prefix(16).allSatisfy { abs($0) <= 0.1 && $0 != 0 })
    #expect(first.weights[16] == 0)
    #expect(table.rowCount == 0)
  }
}
