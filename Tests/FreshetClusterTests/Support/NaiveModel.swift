import FreshetCore
import FreshetModel
import FreshetTable

@testable import FreshetCluster

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The whole of training written from its definition: one table in one place, double precision, one example after another.
struct NaiveModel {
  struct Key: Hashable {
    var table: Int
    var fid: Fid
  }

  let model: TestModel
  private let optimizers: [OptimizerSpec]
  private var rows: [Key: (weights: [Double], state: [Double])] = [:]
  private(set) var parameters: [Double]
  private var parameterState: [Double]

  init(_ model: TestModel) {
    self.model = model
    optimizers = model.spec.rowTables.tables.map(\.optimizer)
    let layout = model.tables.denseLayout
    parameters = layout.initialParameters(seed: model.spec.tables[0].seed).map(Double.init)
    parameterState = Self.initialState(model.spec.network.optimizer, parameters.count)
  }

  var keys: [Key] { Array(rows.keys) }

  /// A copy that starts from given weights, for scores.
  init(_ model: TestModel, weights: [Key: [Float]], parameters: [Float]) {
    self.init(model)
    for (key, row) in weights { rows[key] = (row.map(Double.init), []) }
    self.parameters = parameters.map(Double.init)
  }

  func weights(_ key: Key) -> [Double] {
    if let row = rows[key] { return row.weights }
    let layout = model.tables.layouts[key.table]
    let initial = [Float](unsafeUninitializedCapacity: layout.width) { buffer, count in
      layout.initializer.write(fid: key.fid, width: layout.width, into: buffer.baseAddress!)
      count = layout.width
    }
    return initial.map(Double.init)
  }

  private static func initialState(_ optimizer: OptimizerSpec, _ count: Int) -> [Double] {
    guard case .adagrad(let accumulator, _) = optimizer.kind else { return [] }
    return [Double](repeating: accumulator, count: count)
  }

  private static func apply(
    _ optimizer: OptimizerSpec, _ gradient: [Double], weights: inout [Double], state: inout [Double]
  ) {
    for index in gradient.indices {
      switch optimizer.kind {
      case .sgd: weights[index] -= optimizer.learningRate * gradient[index]
      case .adagrad(_, let epsilon):
        state[index] += gradient[index] * gradient[index]
        weights[index] -= optimizer.learningRate * gradient[index] / (state[index].squareRoot() + epsilon)
      default: preconditionFailure("not needed here")
      }
    }
  }

  // MARK: - Forward

  private struct Pass {
    var vectors: [[Double]]
    var layers: [[Double]]
    var logits: [Double]
  }

  func logits(_ example: TestExample) -> [Double] { forward(example).logits }

  private func forward(_ example: TestExample) -> Pass {
    let shape = model.tables.shape
    let layout = model.tables.denseLayout
    var vectors: [[Double]] = []
    var wide = 0.0
    for (slot, fids) in example.slots.enumerated() {
      var vector = [Double](repeating: 0, count: shape.factors[slot])
      for fid in fids {
        let row = weights(Key(table: model.tables.tableOfSlot[slot], fid: fid))
        for k in vector.indices { vector[k] += scale(slot, fids.count) * row[k] }
        wide += scale(slot, fids.count) * row[vector.count]
      }
      vectors.append(vector)
    }
    for a in shape.factorizedSlots {
      for b in shape.factorizedSlots where b > a {
        for k in vectors[a].indices { wide += vectors[a][k] * vectors[b][k] }
      }
    }
    var layers = [(shape.hidden.isEmpty ? [] : vectors.flatMap(\.self)) + example.dense.map(Double.init)]
    for number in 0...shape.hidden.count {
      let tensor = layout.tensors[2 * number]
      let bias = layout.tensors[2 * number + 1].offset
      let below = layers[number]
      let next = (0..<tensor.columns).map { column in
        below.indices.reduce(parameters[bias + column]) {
          $0 + below[$1] * parameters[tensor.offset + $1 * tensor.columns + column]
        }
      }
      layers.append(number < shape.hidden.count ? next.map { max(0, $0) } : next)
    }
    return Pass(vectors: vectors, layers: layers, logits: layers.last!.map { $0 + wide })
  }

  private func scale(_ slot: Int, _ count: Int) -> Double {
    switch model.tables.pooling[slot] {
    case .sum: 1
    case .mean: 1 / Double(count)
    case .sqrtn: 1 / Double(count).squareRoot()
    }
  }

  // MARK: - Training

  /// One step of the dense tensors; of the rows one for each micro-batch: gradients of its examples by the same weights, summed for
  /// each row, then applied.
  mutating func train(_ examples: [TestExample], microBatchSize: Int = .max) {
    var parameterGradients = [Double](repeating: 0, count: parameters.count)
    for first in stride(from: 0, to: examples.count, by: min(microBatchSize, examples.count)) {
      var rowGradients: [Key: [Double]] = [:]
      for example in examples[first..<min(examples.count, first + min(microBatchSize, examples.count))] {
        backward(example, &rowGradients, &parameterGradients)
      }
      for (key, gradient) in rowGradients {
        let optimizer = optimizers[key.table]
        var row = rows[key] ?? (weights(key), Self.initialState(optimizer, gradient.count))
        Self.apply(optimizer, gradient, weights: &row.weights, state: &row.state)
        rows[key] = row
      }
    }
    Self.apply(model.spec.network.optimizer, parameterGradients, weights: &parameters, state: &parameterState)
  }

  /// By docs/joiner.md: what each label, and what each one taken back, pulls the logit by.
  private static func logitGradient(_ logit: Double, _ label: Double, _ origin: ExampleOrigin, _ rate: Double) -> Double
  {
    let seen = 1 / (1 + exp(-logit) * rate)
    let joined = label.isNaN ? 0 : label == 1 ? seen - 1 : rate * seen
    switch origin {
    case .actions: return joined
    case .negative: return label.isNaN ? 0 : seen - label
    case .correctsNegative: return joined - seen
    case .correctsLabels: return label.isNaN ? 0 : joined - rate * seen
    }
  }

  private func backward(
    _ example: TestExample, _ rowGradients: inout [Key: [Double]], _ parameterGradients: inout [Double]
  ) {
    let shape = model.tables.shape
    let layout = model.tables.denseLayout
    let pass = forward(example)
    let logitGradients = zip(pass.logits, example.labels).map { logit, label in
      Double(example.weight) * Self.logitGradient(logit, Double(label), example.origin, Double(example.negativeRate))
    }
    var above = logitGradients
    for number in (0...shape.hidden.count).reversed() {
      let tensor = layout.tensors[2 * number]
      let bias = layout.tensors[2 * number + 1].offset
      let below = pass.layers[number]
      var down = [Double](repeating: 0, count: below.count)
      for column in above.indices {
        parameterGradients[bias + column] += above[column]
        for row in below.indices {
          parameterGradients[tensor.offset + row * tensor.columns + column] += below[row] * above[column]
          down[row] += parameters[tensor.offset + row * tensor.columns + column] * above[column]
        }
      }
      if number > 0 { for row in below.indices where below[row] <= 0 { down[row] = 0 } }
      above = down
    }
    let wide = logitGradients.reduce(0, +)
    for (slot, fids) in example.slots.enumerated() {
      for fid in fids {
        let key = Key(table: model.tables.tableOfSlot[slot], fid: fid)
        let factors = shape.factors[slot]
        var gradient = rowGradients[key] ?? [Double](repeating: 0, count: factors + 1)
        for k in 0..<factors {
          var g = shape.hidden.isEmpty ? 0 : above[shape.factors[..<slot].reduce(0, +) + k]
          if shape.factorizedSlots.contains(slot) {
            for other in shape.factorizedSlots where other != slot { g += wide * pass.vectors[other][k] }
          }
          gradient[k] += scale(slot, fids.count) * g
        }
        gradient[factors] += scale(slot, fids.count) * wide
        rowGradients[key] = gradient
      }
    }
  }
}
