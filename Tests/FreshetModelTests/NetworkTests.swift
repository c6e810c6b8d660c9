import FreshetCore
import FreshetModel
import Testing

/// DeepFM written from its definition, in double precision and without any batching.
struct NaiveNetwork {
  let shape: NetworkShape
  let mean: [Bool]
  let layout: DenseLayout

  func logits(rows: [[Double]], slots: [[Int]], dense: [Double], parameters: [Double]) -> [Double] {
    var vectors: [[Double]] = []
    var linear = 0.0
    for (slot, members) in slots.enumerated() {
      var vector = [Double](repeating: 0, count: shape.factors)
      let scale = mean[slot] && !members.isEmpty ? 1 / Double(members.count) : 1
      for member in members {
        for k in 0..<shape.factors { vector[k] += scale * rows[member][k] }
        linear += scale * rows[member][shape.factors]
      }
      vectors.append(vector)
    }
    var interactions = 0.0
    if shape.hasFactorizationMachine {
      for a in vectors.indices {
        for b in vectors.indices where b > a {
          for k in 0..<shape.factors { interactions += vectors[a][k] * vectors[b][k] }
        }
      }
    }
    var layer = (shape.hidden.isEmpty ? [] : vectors.flatMap { $0 }) + dense
    for number in 0..<shape.hidden.count + 1 {
      let weights = layout.tensors[2 * number]
      let biases = layout.tensors[2 * number + 1]
      var next = (0..<weights.columns).map { parameters[biases.offset + $0] }
      for (row, value) in layer.enumerated() {
        for column in next.indices {
          next[column] += value * parameters[weights.offset + row * weights.columns + column]
        }
      }
      layer = number < shape.hidden.count ? next.map { max(0, $0) } : next
    }
    return layer.map { $0 + linear + interactions }
  }
}

@Suite struct NetworkTests {
  static let shapes = [
    NetworkShape(slots: 3, factors: 0, denseFeatures: 0, hidden: [], hasFactorizationMachine: false, tasks: 1),
    NetworkShape(slots: 3, factors: 0, denseFeatures: 2, hidden: [], hasFactorizationMachine: false, tasks: 2),
    NetworkShape(slots: 4, factors: 5, denseFeatures: 2, hidden: [], hasFactorizationMachine: true, tasks: 1),
    NetworkShape(slots: 4, factors: 5, denseFeatures: 0, hidden: [7, 3], hasFactorizationMachine: true, tasks: 1),
    NetworkShape(slots: 2, factors: 8, denseFeatures: 3, hidden: [6], hasFactorizationMachine: true, tasks: 3),
  ]

  struct Batch {
    var rows: [[Double]]
    var slots: [[[Int]]]
    var dense: [[Double]]
    var labels: [[Double]]
    var parameters: [Double]
    let mean: [Bool]
  }

  func batch(_ shape: NetworkShape, seed: UInt64) -> Batch {
    var random = SeededGenerator(seed: seed)
    func value() -> Double { Double(Float(random.nextUnit() * 2 - 1)) }
    let layout = DenseLayout(shape: shape)
    let count = 6
    return Batch(
      rows: (0..<9).map { _ in (0..<shape.rowWidth).map { _ in value() } },
      slots: (0..<count).map { _ in
        (0..<shape.slots).map { _ in
          (0..<Int.random(in: 0...3, using: &random)).map { _ in Int.random(in: 0..<9, using: &random) }
        }
      },
      dense: (0..<count).map { _ in (0..<shape.denseFeatures).map { _ in value() } },
      labels: (0..<count).map { _ in (0..<shape.tasks).map { _ in random.nextUnit() < 0.5 ? 1 : 0 } },
      parameters: (0..<layout.parameterCount).map { _ in value() * 0.5 },
      mean: (0..<shape.slots).map { $0 % 2 == 1 })
  }

  func naiveLoss(_ batch: Batch, _ shape: NetworkShape) -> Double {
    let naive = NaiveNetwork(shape: shape, mean: batch.mean, layout: DenseLayout(shape: shape))
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
  func run(_ batch: Batch, _ shape: NetworkShape) -> (logits: [Float], rows: [Float], parameters: [Float]) {
    let network = Network(shape: shape, poolsByMean: batch.mean)
    var occurrences: [Int32] = []
    var starts: [Int32] = [0]
    for example in batch.slots {
      for slot in example {
        occurrences += slot.map(Int32.init)
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
    let naive = NaiveNetwork(shape: shape, mean: batch.mean, layout: DenseLayout(shape: shape))
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
        let found = Double(real.rows[row * shape.rowWidth + column])
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
