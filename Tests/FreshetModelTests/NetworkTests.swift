import FreshetCore
import FreshetModel
import Testing

@Suite struct NetworkTests {
  static let shapes = [
    NetworkShape(slots: 3, factors: 0, denseFeatures: 0, hidden: [], hasFactorizationMachine: false, tasks: 1),
    NetworkShape(slots: 3, factors: 0, denseFeatures: 2, hidden: [], hasFactorizationMachine: false, tasks: 2),
    NetworkShape(slots: 4, factors: 5, denseFeatures: 2, hidden: [], hasFactorizationMachine: true, tasks: 1),
    NetworkShape(slots: 4, factors: 5, denseFeatures: 0, hidden: [7, 3], hasFactorizationMachine: true, tasks: 1),
    NetworkShape(slots: 2, factors: 8, denseFeatures: 3, hidden: [6], hasFactorizationMachine: true, tasks: 3),
    shape(hidden: [], .cross(layers: 1, rank: nil, isStacked: false), tasks: 1),
    shape(hidden: [5], .cross(layers: 1, rank: 2, isStacked: false), tasks: 2),
    shape(hidden: [5, 4], .cross(layers: 2, rank: nil, isStacked: false), tasks: 1),
    shape(hidden: [5, 4], .cross(layers: 3, rank: nil, isStacked: true), tasks: 2),
    shape(hidden: [4], .cross(layers: 2, rank: 3, isStacked: true), tasks: 1),
    shape(hidden: [6], .towers([4]), tasks: 2),
    shape(hidden: [6, 5], .towers([4, 3]), tasks: 3),
    shape(hidden: [], .mixture(experts: 2, expert: [4], tower: []), tasks: 1),
    shape(hidden: [], .mixture(experts: 3, expert: [5, 4], tower: [3]), tasks: 2),
    // Slots of different dimensions, some of them with a linear weight alone; machines that leave slots out.
    mixed([2, 0, 3], hidden: [], .plain, tasks: 2),
    mixed([5, 2, 0, 5, 9], factorized: [0, 3], hidden: [], .plain, tasks: 2),
    mixed([4, 4, 2, 4], factorized: [0, 1, 3], hidden: [7, 3], .plain, tasks: 1),
    mixed([2, 3, 3, 3], factorized: [1, 2], hidden: [4], .plain, tasks: 1),
    mixed([3, 1, 0, 9], hidden: [5], .cross(layers: 2, rank: nil, isStacked: false), tasks: 1),
    mixed([8, 2], hidden: [4], .cross(layers: 2, rank: 3, isStacked: true), tasks: 2),
    mixed([1, 0, 6], hidden: [6], .towers([4]), tasks: 2),
    mixed([3, 7, 1], hidden: [], .mixture(experts: 3, expert: [5], tower: [3]), tasks: 2),
  ]

  static func mixed(
    _ factors: [Int], factorized: [Int] = [], hidden: [Int], _ body: NetworkShape.Body, tasks: Int
  ) -> NetworkShape {
    NetworkShape(
      factors: factors, factorizedSlots: factorized, denseFeatures: 2, hidden: hidden, body: body, tasks: tasks)
  }

  static func shape(hidden: [Int], _ body: NetworkShape.Body, tasks: Int) -> NetworkShape {
    NetworkShape(
      slots: 3, factors: 2, denseFeatures: 2, hidden: hidden, hasFactorizationMachine: false, body: body, tasks: tasks)
  }

  struct Batch {
    var rows: [[Double]]
    var slots: [[[Int]]]
    var dense: [[Double]]
    var labels: [[Double]]
    var parameters: [Double]
    let pooling: [SlotSpec.Pooling]

    /// Where each row begins, and one more: where the last one ends.
    var offsets: [Int] { rows.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.count) } }
  }

  /// Rows are shared by the slots of one dimension.
  func batch(_ shape: NetworkShape, seed: UInt64) -> Batch {
    var random = SeededGenerator(seed: seed)
    func value() -> Double { Double(Float(random.nextUnit() * 2 - 1)) }
    let layout = DenseLayout(shape: shape)
    let count = 6
    let dimensions = Set(shape.factors).sorted()
    return Batch(
      rows: (0..<12).map { row in (0...dimensions[row % dimensions.count]).map { _ in value() } },
      slots: (0..<count).map { _ in
        shape.factors.map { factors in
          let rows = (0..<12).filter { dimensions[$0 % dimensions.count] == factors }
          return (0..<Int.random(in: 0...3, using: &random)).map { _ in rows.randomElement(using: &random)! }
        }
      },
      dense: (0..<count).map { _ in (0..<shape.denseFeatures).map { _ in value() } },
      labels: (0..<count).map { _ in (0..<shape.tasks).map { _ in random.nextUnit() < 0.5 ? 1 : 0 } },
      parameters: (0..<layout.parameterCount).map { _ in value() * 0.5 },
      pooling: (0..<shape.slots).map { SlotSpec.Pooling.allCases[$0 % 3] })
  }

  func naiveLoss(_ batch: Batch, _ shape: NetworkShape) -> Double {
    let naive = NaiveNetwork(shape: shape, pooling: batch.pooling)
    var loss = 0.0
    for example in batch.slots.indices {
      let logits = naive.logits(
        rows: batch.rows, slots: batch.slots[example], dense: batch.dense[example], parameters: batch.parameters)
      for (task, logit) in logits.enumerated() {
        loss += LogisticLoss.loss(logit: logit, label: batch.labels[example][task])
      }
    }
    return loss
  }

  /// Runs the real network on a batch, forward and backward.
  func run(
    _ batch: Batch, _ shape: NetworkShape, on used: Network? = nil
  ) -> (logits: [Float], rows: [Float], parameters: [Float]) {
    let network = used ?? Network(shape: shape, pooling: batch.pooling)
    var occurrences: [Int32] = []
    var starts: [Int32] = [0]
    for example in batch.slots {
      for slot in example {
        occurrences += slot.map { Int32(batch.offsets[$0]) }
        starts.append(Int32(occurrences.count))
      }
    }
    let rows: [Float] = batch.rows.flatMap { row in row.map { Float($0) } }
    let dense: [Float] = batch.dense.flatMap { row in row.map { Float($0) } } + [0]
    let parameters: [Float] = batch.parameters.map { Float($0) }
    occurrences.append(0)
    let input = (rows, occurrences, starts, dense)
    var rowGradients = [Float](repeating: 0, count: rows.count)
    // What is there is added to.
    var parameterGradients = [Float](repeating: 2, count: parameters.count)
    let count = batch.slots.count
    let logits = input.0.withUnsafeBufferPointer { rows in
      input.1.withUnsafeBufferPointer { occurrences in
        input.2.withUnsafeBufferPointer { starts in
          input.3.withUnsafeBufferPointer { dense in
            let view = NetworkInput(
              count: count, rows: rows.baseAddress!, occurrences: occurrences.baseAddress!, starts: starts.baseAddress!,
              denseFeatures: dense.baseAddress!)
            let logits = Array(
              UnsafeBufferPointer(start: network.forward(view, parameters: parameters), count: count * shape.tasks))
            let labels = batch.labels.flatMap { $0 }
            let gradients = zip(logits, labels).map { LogisticLoss.sigmoid($0) - Float($1) }
            network.backward(
              view, parameters: parameters, logitGradients: gradients, rowGradients: &rowGradients,
              parameterGradients: &parameterGradients)
            return logits
          }
        }
      }
    }
    return (logits, rowGradients, parameterGradients.map { $0 - 2 })
  }

  @Test(arguments: shapes)
  func forwardAgreesWithTheDefinition(shape: NetworkShape) {
    let batch = batch(shape, seed: 11)
    let naive = NaiveNetwork(shape: shape, pooling: batch.pooling)
    let logits = run(batch, shape).logits
    for example in batch.slots.indices {
      let expected = naive.logits(
        rows: batch.rows, slots: batch.slots[example], dense: batch.dense[example], parameters: batch.parameters)
      for task in 0..<shape.tasks {
        #expect(abs(Double(logits[example * shape.tasks + task]) - expected[task]) < 1e-4)
      }
    }
  }

  @Test(arguments: shapes)
  func gradientsAgreeWithFiniteDifferences(shape: NetworkShape) {
    var batch = batch(shape, seed: 12)
    let real = run(batch, shape)
    let step = 1e-5
    for row in batch.rows.indices {
      for column in batch.rows[row].indices {
        let value = batch.rows[row][column]
        batch.rows[row][column] = value + step
        let up = naiveLoss(batch, shape)
        batch.rows[row][column] = value - step
        let down = naiveLoss(batch, shape)
        batch.rows[row][column] = value
        let expected = (up - down) / (2 * step)
        let found = Double(real.rows[batch.offsets[row] + column])
        #expect(abs(found - expected) < 1e-3 * max(1, abs(expected)), "row \(row) column \(column)")
      }
    }
    for index in batch.parameters.indices {
      let value = batch.parameters[index]
      batch.parameters[index] = value + step
      let up = naiveLoss(batch, shape)
      batch.parameters[index] = value - step
      let down = naiveLoss(batch, shape)
      batch.parameters[index] = value
      let expected = (up - down) / (2 * step)
      #expect(abs(Double(real.parameters[index]) - expected) < 1e-3 * max(1, abs(expected)), "parameter \(index)")
    }
  }

  /// Where parameters lie in tables, snapshots and replicas that are older than the other kinds.
  @Test func theLayoutOfDeepFMIsWhatItWas() {
    let layout = DenseLayout(shape: Self.shapes[4])
    #expect(layout.tensors.map(\.name) == ["layer0.weights", "layer0.biases", "heads.weights", "heads.biases"])
    #expect(layout.tensors.map(\.offset) == [0, 19 * 6, 19 * 6 + 6, 19 * 6 + 6 + 18])
    #expect(layout.tensors.map(\.initialBound).prefix(2).allSatisfy { $0 == 1 / Float(19).squareRoot() })
    #expect(DenseLayout(shape: Self.shapes[1]).tensors.map(\.initialBound) == [0, 0])
  }

  @Test(arguments: shapes)
  func tensorsLieOneBehindTheOtherAndOutputsStartSmall(shape: NetworkShape) {
    let layout = DenseLayout(shape: shape)
    var offset = 0
    for tensor in layout.tensors {
      #expect(tensor.offset == offset)
      offset += tensor.count
    }
    #expect(layout.parameterCount == offset)
    #expect(Set(layout.tensors.map(\.name)).count == layout.tensors.count)
    for tensor in layout.tensors where tensor.rows > 1 {
      #expect(tensor.initialBound <= 1 / Float(tensor.rows).squareRoot(), "\(tensor.name)")
    }
    #expect(layout.towers.allSatisfy { $0.head.biases.initialBound == 0 })
  }

  /// Rows, shares and products of one example do not depend on those that are computed with it.
  @Test(arguments: shapes)
  func aNetworkIsUsedAgainForLargerAndSmallerBatches(shape: NetworkShape) {
    let network = Network(shape: shape, pooling: batch(shape, seed: 1).pooling)
    for seed in UInt64(1)...4 {
      var batch = batch(shape, seed: seed)
      batch.slots = Array(repeating: batch.slots, count: Int(seed % 3) + 1).flatMap { $0 }
      batch.dense = Array(repeating: batch.dense, count: Int(seed % 3) + 1).flatMap { $0 }
      batch.labels = Array(repeating: batch.labels, count: Int(seed % 3) + 1).flatMap { $0 }
      let fresh = run(batch, shape)
      let used = run(batch, shape, on: network)
      #expect(used.logits == fresh.logits && used.rows == fresh.rows && used.parameters == fresh.parameters)
    }
  }

  @Test func initialParametersDependOnTheSeedAlone() {
    let layout = DenseLayout(shape: Self.shapes[3])
    #expect(layout.initialParameters(seed: 1) == layout.initialParameters(seed: 1))
    #expect(layout.initialParameters(seed: 1) != layout.initialParameters(seed: 2))
    #expect(layout.initialParameters(seed: 1).count == layout.chunkCount * DenseLayout.chunkWidth)
    #expect(Set(layout.fids).count == layout.chunkCount)
  }

  @Test func droppingNegativesIsUndoneInTheLogit() {
    // 1 positive in 10 before, negatives kept at 0.25: the stream shows 1 in 3.25.
    let logit = Float(-2.1972246)  // ln(0.1 / 0.9)
    let seen = LogisticLoss.sigmoid(LogisticLoss.sampledLogit(logit, negativeRate: 0.25))
    #expect(abs(seen - 1 / 3.25) < 1e-5)
  }
}
