import FreshetModel

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// All networks written from their definitions, in plain loops and double precision and without any batching.
struct NaiveNetwork {
  let shape: NetworkShape
  let pooling: [SlotSpec.Pooling]
  let layout: DenseLayout

  init(shape: NetworkShape, pooling: [SlotSpec.Pooling]) {
    self.shape = shape
    self.pooling = pooling
    layout = DenseLayout(shape: shape)
  }

  func logits(rows: [[Double]], slots: [[Int]], dense: [Double], parameters: [Double]) -> [Double] {
    var vectors: [[Double]] = []
    var wide = 0.0
    for (slot, members) in slots.enumerated() {
      let (vector, linear) = NaiveLayers.pool(members.map { rows[$0] }, shape.factors[slot], pooling[slot])
      vectors.append(vector)
      wide += linear
    }
    wide += NaiveLayers.interactions(shape.factorizedSlots.map { vectors[$0] })
    let readsVectors = !shape.hidden.isEmpty || shape.body != .plain
    let input = (readsVectors ? vectors.flatMap { $0 } : []) + dense
    return body(input, parameters).map { $0 + wide }
  }

  private func body(_ input: [Double], _ parameters: [Double]) -> [Double] {
    func affine(_ layer: DenseLayout.Layer, _ values: [Double]) -> [Double] {
      NaiveLayers.affine(values, parameters, weights: layer.weights, biases: layer.biases)
    }
    func layers(_ layers: [DenseLayout.Layer], _ values: [Double]) -> [Double] {
      layers.reduce(values) { below, layer in affine(layer, below).map { max(0, $0) } }
    }
    func tower(_ number: Int, _ values: [Double]) -> [Double] {
      affine(layout.towers[number].head, layers(layout.towers[number].layers, values))
    }
    switch shape.body {
    case .plain: return tower(0, input)
    case .cross(_, _, let isStacked):
      let top = layout.cross.reduce(input) { NaiveLayers.cross(input, $0, parameters, $1) }
      guard !isStacked, !shape.hidden.isEmpty else { return tower(0, top) }
      let crossed = NaiveLayers.affine(top, parameters, weights: layout.crossHead!, biases: nil)
      return zip(tower(0, input), crossed).map { $0 + $1 }
    case .towers:
      let bottom = layers(layout.shared, input)
      return (0..<shape.tasks).flatMap { tower($0, bottom) }
    case .mixture:
      let experts = layout.experts.map { layers($0, input) }
      let gates = affine(layout.gates!, input)
      return (0..<shape.tasks).flatMap { task in
        tower(task, NaiveLayers.mixture(experts, Array(gates[task * experts.count..<(task + 1) * experts.count])))
      }
    }
  }
}

/// Layers by their definitions.
enum NaiveLayers {
  static func pool(_ rows: [[Double]], _ factors: Int, _ pooling: SlotSpec.Pooling) -> ([Double], Double) {
    var sum = [Double](repeating: 0, count: factors + 1)
    for row in rows { for k in 0...factors { sum[k] += row[k] } }
    let divisor =
      switch pooling {
      case .sum: 1.0
      case .mean: Double(max(1, rows.count))
      case .sqrtn: Double(max(1, rows.count)).squareRoot()
      }
    return (sum.prefix(factors).map { $0 / divisor }, sum[factors] / divisor)
  }

  static func interactions(_ vectors: [[Double]]) -> Double {
    var sum = 0.0
    for a in vectors.indices {
      for b in vectors.indices where b > a {
        for k in vectors[a].indices { sum += vectors[a][k] * vectors[b][k] }
      }
    }
    return sum
  }

  static func affine(
    _ input: [Double], _ parameters: [Double], weights: DenseLayout.Tensor, biases: DenseLayout.Tensor?
  ) -> [Double] {
    var output = [Double](repeating: 0, count: weights.columns)
    for column in output.indices {
      if let biases { output[column] = parameters[biases.offset + column] }
      for row in input.indices {
        output[column] += input[row] * parameters[weights.offset + row * weights.columns + column]
      }
    }
    return output
  }

  static func cross(
    _ first: [Double], _ below: [Double], _ parameters: [Double], _ tensors: DenseLayout.Cross
  ) -> [Double] {
    let source = tensors.projection.map { affine(below, parameters, weights: $0, biases: nil) } ?? below
    let product = affine(source, parameters, weights: tensors.layer.weights, biases: tensors.layer.biases)
    return below.indices.map { first[$0] * product[$0] + below[$0] }
  }

  static func mixture(_ experts: [[Double]], _ gates: [Double]) -> [Double] {
    let powers = gates.map { exp($0) }
    let total = powers.reduce(0, +)
    return experts[0].indices.map { column in
      var sum = 0.0
      for (expert, power) in zip(experts, powers) { sum += power / total * expert[column] }
      return sum
    }
  }
}
