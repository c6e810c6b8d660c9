import FreshetCore
import Testing

@testable import FreshetTable

@Suite struct EmbeddingTableTests {
  static func layout(width: Int, optimizer: Optimizer) -> TableLayout {
    TableLayout(
      name: "test", width: width, optimizer: optimizer,
      initializer: .uniform(bound: 0.1, columns: max(1, width - 1), seed: 5))
  }

  /// Every operation in a random order, against a dictionary and the optimizers' formulas.
  @Test(arguments: [1, 2, 7, 8, 17, 64], [0, 1])
  func agreesWithADictionaryUnderRandomScripts(width: Int, kind: Int) {
    let optimizer: Optimizer =
      kind == 0
      ? .sgd(SGD(learningRate: 0.5)) : .adagrad(Adagrad(learningRate: 0.1, initialAccumulator: 0.01, epsilon: 1e-8))
    var random = SeededGenerator(seed: UInt64(width * 10 + kind))
    let table = EmbeddingTable(layout: Self.layout(width: width, optimizer: optimizer))
    var model: [Fid: (weights: [Float], state: [Float])] = [:]
    // Low entropy on purpose: equal low bits, the extremes, and neighbours.
    let fids: [Fid] =
      [0, .max, 1, .max - 1] + (1...60).map { Fid($0) << 32 } + (1...60).map { Fid($0) }
    var touched = Set<Fid>()

    func initial(_ fid: Fid) -> [Float] {
      [Float](unsafeUninitializedCapacity: width) { buffer, count in
        table.layout.initializer.write(fid: fid, width: width, into: buffer.baseAddress!)
        count = width
      }
    }

    for _ in 0..<400 {
      let batch = Array(
        Set((0..<Int.random(in: 1...20, using: &random)).map { _ in fids.randomElement(using: &random)! }))
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<5:
        let gradients = batch.map { _ in (0..<width).map { _ in Float.random(in: -1...1, using: &random) } }
        batch.withUnsafeBufferPointer { fids in
          gradients.flatMap { $0 }.withUnsafeBufferPointer {
            table.update(fids, gradients: $0.baseAddress!, minutes: 7)
          }
        }
        for (fid, gradient) in zip(batch, gradients) {
          var row = model[fid] ?? (initial(fid), [Float](repeating: 0.01, count: width))
          for column in 0..<width {
            if kind == 0 {
              row.weights[column] -= 0.5 * gradient[column]
            } else {
              row.state[column] += gradient[column] * gradient[column]
              row.weights[column] -= 0.1 * gradient[column] / (row.state[column].squareRoot() + 1e-8)
            }
          }
          model[fid] = row
          touched.insert(fid)
        }
      case 5..<7:
        let removed = batch.withUnsafeBufferPointer { table.remove($0) }
        #expect(removed == batch.filter { model[$0] != nil }.count)
        for fid in batch {
          model[fid] = nil
          touched.remove(fid)
        }
      case 7:
        var seen = Set<Fid>()
        table.takeTouched { fid, _ in #expect(seen.insert(fid).inserted) }
        #expect(seen == touched)
        touched = []
      default:
        var output = [Float](repeating: .nan, count: batch.count * width)
        batch.withUnsafeBufferPointer { fids in
          output.withUnsafeMutableBufferPointer { table.gather(fids, into: $0.baseAddress!) }
        }
        for (position, fid) in batch.enumerated() {
          let expected = model[fid]?.weights ?? initial(fid)
          for column in 0..<width {
            let difference = abs(output[position * width + column] - expected[column])
            #expect(difference <= 1e-5 * max(1, abs(expected[column])))
          }
        }
      }
      table.checkInvariants()
      #expect(table.rowCount == model.count)
    }
  }

  @Test func aScanInChunksVisitsEveryRowOnce() {
    let table = EmbeddingTable(layout: Self.layout(width: 3, optimizer: .sgd(SGD(learningRate: 1))))
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

  @Test func aGradientThatIsNotFiniteChangesNothingAndIsCounted() {
    let table = EmbeddingTable(layout: Self.layout(width: 9, optimizer: .sgd(SGD(learningRate: 1))))
    let fids: [Fid] = [1, 2, 3]
    var gradients = [Float](repeating: 1, count: 27)
    gradients[4] = .nan
    gradients[26] = .infinity
    fids.withUnsafeBufferPointer { table.update($0, gradients: gradients, minutes: 0) }
    #expect(table.rowCount == 1)
    #expect(table.contains(2))
    #expect(table.statistics.nonFiniteGradients == 2)
  }

  @Test func removedFidsAreReportedAsTombstonesUnlessTheyCameBack() {
    let table = EmbeddingTable(layout: Self.layout(width: 1, optimizer: .sgd(SGD(learningRate: 1))))
    let fids: [Fid] = [10, 11, 12]
    fids.withUnsafeBufferPointer { table.update($0, gradients: [1, 1, 1], minutes: 0) }
    fids.withUnsafeBufferPointer { _ = table.remove($0) }
    [Fid(11)].withUnsafeBufferPointer { table.update($0, gradients: [1], minutes: 0) }
    #expect(table.takeRemoved() == [10, 12])
    #expect(table.takeRemoved() == [])
  }

  @Test func initialWeightsAreAFunctionOfSeedAndFidAlone() {
    let table = EmbeddingTable(layout: Self.layout(width: 17, optimizer: .sgd(SGD(learningRate: 1))))
    let first = table.weights(42)
    #expect(!first.exists)
    #expect(first.weights == table.weights(42).weights)
    #expect(first.weights != table.weights(43).weights)
    #expect(first.weights.prefix(16).allSatisfy { abs($0) <= 0.1 && $0 != 0 })
    #expect(first.weights[16] == 0)
    #expect(table.rowCount == 0)
  }
}
