import FreshetCore
import Testing

@testable import FreshetModel

/// Each layer by itself, against its definition in `NaiveLayers`.
@Suite struct LayerTests {
  static func layer(_ inputs: Int, _ outputs: Int, offset: Int) -> DenseLayout.Layer {
    DenseLayout.Layer(
      weights: .init(name: "w", offset: offset, rows: inputs, columns: outputs, initialBound: 0),
      biases: .init(name: "b", offset: offset + inputs * outputs, rows: 1, columns: outputs, initialBound: 0))
  }

  @Test(arguments: SlotSpec.Pooling.allCases, [[5, 5, 5], [3, 0, 9]])
  func poolingAgreesWithItsDefinition(pooling: SlotSpec.Pooling, factors: [Int]) {
    let examples = 4
    // Slots of 0 to 4 rows, rows in several slots and twice in one.
    let members = [[[0], [1, 2, 2], []], [[3, 4], [], [0]], [[5], [6], [1, 3, 5, 6]], [[], [], []]]
    // Slots of one dimension share their seven rows.
    let isShared = Set(factors).count == 1
    func rowStart(_ row: Int, ofSlot slot: Int) -> Int {
      (isShared ? 0 : factors[..<slot].reduce(0) { $0 + 7 * ($1 + 1) }) + row * (factors[slot] + 1)
    }
    let width = factors.reduce(0, +)
    var random = RandomValues(seed: 3)
    let check = GradientCheck(
      variables: random.values(rowStart(7, ofSlot: 2)), outputWeights: random.values(examples * (width + 1)))
    let occurrences = members.flatMap { slots in
      slots.enumerated().flatMap { slot, rows in rows.map { Int32(rowStart($0, ofSlot: slot)) } }
    }
    var starts: [Int32] = [0]
    for slot in members.joined() { starts.append(starts.last! + Int32(slot.count)) }
    let layer = PoolingLayer(factors: factors, pooling: [pooling, pooling, pooling])
    // Vectors lie in rows that are wider than they are.
    let stride = width + 2
    var vectors = [Float](repeating: 9, count: examples * stride)
    var wide = [Float](repeating: 9, count: examples)
    var vectorGradients = [Float](repeating: 9, count: examples * stride)
    var wideGradients = [Float](repeating: 9, count: examples)
    for example in 0..<examples {
      let weights = check.outputWeights.rows(width + 1)[example].floats
      for index in 0..<width { vectorGradients[example * stride + index] = weights[index] }
      wideGradients[example] = weights[width]
    }
    var gradients = [Float](repeating: 0, count: check.variables.count)
    let rows = check.variables.floats
    rows.withUnsafeBufferPointer { rows in
      occurrences.withUnsafeBufferPointer { occurrences in
        starts.withUnsafeBufferPointer { starts in
          let batch = NetworkInput(
            count: examples, rows: rows.baseAddress!, occurrences: occurrences.baseAddress!,
            starts: starts.baseAddress!, denseFeatures: rows.baseAddress!)
          layer.forward(batch, vectors: &vectors, stride: stride, wide: &wide)
          layer.backward(
            batch, vectorGradients: vectorGradients, stride: stride, wideGradients: wideGradients,
            rowGradients: &gradients)
        }
      }
    }
    var outputs: [Float] = []
    for example in 0..<examples {
      outputs += vectors[example * stride..<example * stride + width]
      outputs.append(wide[example])
    }
    check.run(outputs: outputs, gradients: gradients) { variables in
      var expected: [Double] = []
      for example in members {
        var linear = 0.0
        for (slot, members) in example.enumerated() {
          let rows = members.map { Array(variables[rowStart($0, ofSlot: slot)...].prefix(factors[slot] + 1)) }
          let pooled = NaiveLayers.pool(rows, factors[slot], pooling)
          expected += pooled.0
          linear += pooled.1
        }
        expected.append(linear)
      }
      return expected
    }
  }

  /// Of vectors of three factors: one behind the other, or with other slots' between them.
  @Test(arguments: [[0, 3, 6, 9], [2, 5, 13, 20], [0, 4, 8], [7]])
  func interactionsAgreeWithTheirDefinition(offsets: [Int]) {
    let (factors, examples, stride) = (3, 3, 24)
    var random = RandomValues(seed: 4)
    let check = GradientCheck(variables: random.values(examples * stride), outputWeights: random.values(examples))
    let layer = FactorizationLayer(offsets: offsets, factors: factors)
    layer.reserve(examples)
    var wide = [Float](repeating: 0, count: examples)
    var gradients = [Float](repeating: 0, count: check.variables.count)
    let vectors = check.variables.floats
    layer.forward(count: examples, vectors: vectors, stride: stride, addingTo: &wide)
    layer.backward(
      count: examples, vectors: vectors, stride: stride, wideGradients: check.outputWeights.floats,
      addingTo: &gradients)
    check.run(outputs: wide, gradients: gradients) { variables in
      variables.rows(stride).map { row in
        NaiveLayers.interactions(offsets.map { Array(row[$0..<$0 + factors]) })
      }
    }
  }

  @Test(arguments: [false, true])
  func affineLayersAgreeWithTheirDefinition(isRectified: Bool) {
    let (inputs, outputs, examples) = (5, 3, 4)
    let tensors = Self.layer(inputs, outputs, offset: 2)
    let parameterCount = 2 + inputs * outputs + outputs
    var random = RandomValues(seed: 5)
    let check = GradientCheck(
      variables: random.values(parameterCount + examples * inputs + examples),
      outputWeights: random.values(examples * outputs))
    let parameters = check.variables.prefix(parameterCount).map { Float($0) }
    let input = check.variables[parameterCount..<parameterCount + examples * inputs].map { Float($0) }
    let added = check.variables.suffix(examples).map { Float($0) }
    let layer = AffineLayer(tensors, isRectified: isRectified)
    layer.reserve(examples)
    layer.forward(input, count: examples, parameters: parameters, added: added)
    let output = UnsafePointer(layer.output.start).values(examples * outputs)
    layer.outputGradients.start.update(from: check.outputWeights.floats, count: examples * outputs)
    var parameterGradients = [Float](repeating: 0, count: parameterCount)
    // What is there is added to, or overwritten.
    var inputGradients = [Float](repeating: 1, count: input.count)
    layer.backward(
      input, count: examples, parameters: parameters, parameterGradients: &parameterGradients,
      inputGradients: &inputGradients, accumulates: true)
    let accumulated = inputGradients
    parameterGradients = parameterGradients.map { _ in 0 }
    layer.outputGradients.start.update(from: check.outputWeights.floats, count: examples * outputs)
    layer.backward(
      input, count: examples, parameters: parameters, parameterGradients: &parameterGradients,
      inputGradients: &inputGradients, accumulates: false)
    for (sum, gradient) in zip(accumulated, inputGradients) { #expect(abs(sum - gradient - 1) < 1e-5) }
    // The layer adds the numbers and leaves their gradients, the sums over the outputs, to the network.
    let passed = output.map { isRectified && $0 == 0 ? Float(0) : 1 }
    var addedGradients = [Float](repeating: 0, count: examples)
    for index in 0..<examples * outputs {
      addedGradients[index / outputs] += passed[index] * Float(check.outputWeights[index])
    }
    check.run(outputs: output, gradients: parameterGradients + inputGradients + addedGradients) { variables in
      var expected: [Double] = []
      for row in 0..<examples {
        let start = parameterCount + row * inputs
        let sums = NaiveLayers.affine(
          Array(variables[start..<start + inputs]), variables, weights: tensors.weights, biases: tensors.biases)
        let added = variables[variables.count - examples + row]
        expected += sums.map { isRectified ? max(0, $0 + added) : $0 + added }
      }
      return expected
    }
  }

  @Test(arguments: [[], [4], [4, 6]])
  func towersAgreeWithTheirDefinition(widths: [Int]) {
    let (inputs, outputs, examples) = (5, 2, 4)
    var offset = 0
    var below = inputs
    let layers = (widths + [outputs]).map { width in
      let layer = Self.layer(below, width, offset: offset)
      offset += (below + 1) * width
      below = width
      return layer
    }
    let parameterCount = offset
    var random = RandomValues(seed: 6)
    let check = GradientCheck(
      variables: random.values(parameterCount + examples * inputs), outputWeights: random.values(examples * outputs))
    let parameters = check.variables.prefix(parameterCount).map { Float($0) }
    let input = check.variables.suffix(examples * inputs).map { Float($0) }
    let tower = Tower(.init(layers: Array(layers.dropLast()), head: layers.last!))
    tower.reserve(examples)
    tower.forward(
      input, count: examples, parameters: parameters, wide: [Float](repeating: 0.5, count: examples))
    let output = UnsafePointer(tower.logits).values(examples * outputs)
    tower.logitGradients.update(from: check.outputWeights.floats, count: examples * outputs)
    var parameterGradients = [Float](repeating: 0, count: parameterCount)
    var inputGradients = [Float](repeating: .nan, count: input.count)
    tower.backward(
      input, count: examples, parameters: parameters, parameterGradients: &parameterGradients,
      inputGradients: &inputGradients, accumulates: false)
    check.run(outputs: output, gradients: parameterGradients + inputGradients) { variables in
      var expected: [Double] = []
      for row in Array(variables.suffix(examples * inputs)).rows(inputs) {
        var value = row
        for (number, layer) in layers.enumerated() {
          value = NaiveLayers.affine(value, variables, weights: layer.weights, biases: layer.biases)
          if number < layers.count - 1 { value = value.map { max(0, $0) } }
        }
        expected += value.map { $0 + 0.5 }
      }
      return expected
    }
  }

  @Test(arguments: [1, 2, 4], [nil, 2, 6])
  func crossLayersAgreeWithTheirDefinition(count: Int, rank: Int?) {
    let (width, examples) = (5, 3)
    let layout = DenseLayout(
      shape: NetworkShape(
        slots: 1, factors: width, denseFeatures: 0, hidden: [], hasFactorizationMachine: false,
        body: .cross(layers: count, rank: rank, isStacked: false), tasks: 1))
    let parameterCount = layout.parameterCount
    var random = RandomValues(seed: 7)
    let check = GradientCheck(
      variables: random.values(parameterCount + examples * width).map { Double(Float($0 * 0.7)) },
      outputWeights: random.values(examples * width))
    let parameters = check.variables.prefix(parameterCount).map { Float($0) }
    let input = check.variables.suffix(examples * width).map { Float($0) }
    let cross = CrossNetwork(layout.cross)
    cross.reserve(examples)
    cross.forward(input, count: examples, parameters: parameters)
    let output = cross.output.values(examples * width)
    cross.outputGradients.update(from: check.outputWeights.floats, count: examples * width)
    var parameterGradients = [Float](repeating: 0, count: parameterCount)
    var inputGradients = [Float](repeating: 0, count: input.count)
    cross.backward(
      input, count: examples, parameters: parameters, parameterGradients: &parameterGradients,
      inputGradients: &inputGradients)
    check.run(outputs: output, gradients: parameterGradients + inputGradients) { variables in
      Array(variables.suffix(examples * width)).rows(width).flatMap { input in
        layout.cross.reduce(input) { NaiveLayers.cross(input, $0, variables, $1) }
      }
    }
  }

  @Test(arguments: [1, 2], [1, 3])
  func mixturesOfExpertsAgreeWithTheirDefinition(tasks: Int, experts: Int) {
    let (inputs, width, examples) = (4, 3, 3)
    let layout = DenseLayout(
      shape: NetworkShape(
        slots: 1, factors: inputs, denseFeatures: 0, hidden: [], hasFactorizationMachine: false,
        body: .mixture(experts: experts, expert: [5, width], tower: []), tasks: tasks))
    let parameterCount = layout.gates!.biases.offset + layout.gates!.biases.count
    var random = RandomValues(seed: 8)
    let check = GradientCheck(
      variables: random.values(parameterCount + examples * inputs),
      outputWeights: random.values(tasks * examples * width))
    let parameters = check.variables.prefix(parameterCount).map { Float($0) }
    let input = check.variables.suffix(examples * inputs).map { Float($0) }
    let mixture = ExpertMixture(experts: layout.experts, gates: layout.gates!, tasks: tasks)
    mixture.reserve(examples)
    mixture.forward(input, count: examples, parameters: parameters)
    let output = (0..<tasks).flatMap { mixture.output($0).values(examples * width) }
    for (task, weights) in check.outputWeights.rows(examples * width).enumerated() {
      mixture.outputGradients(task).update(from: weights.floats, count: examples * width)
    }
    var parameterGradients = [Float](repeating: 0, count: parameterCount)
    var inputGradients = [Float](repeating: .nan, count: input.count)
    mixture.backward(
      input, count: examples, parameters: parameters, parameterGradients: &parameterGradients,
      inputGradients: &inputGradients)
    check.run(outputs: output, gradients: parameterGradients + inputGradients) { variables in
      let rows: [[Double]] = Array(variables.suffix(examples * inputs)).rows(inputs)
      var expected: [Double] = []
      for task in 0..<tasks {
        for row in rows {
          var values: [[Double]] = []
          for layers in layout.experts {
            var value = row
            for layer in layers {
              value = NaiveLayers.affine(value, variables, weights: layer.weights, biases: layer.biases)
              value = value.map { max(0, $0) }
            }
            values.append(value)
          }
          let gates = NaiveLayers.affine(row, variables, weights: layout.gates!.weights, biases: layout.gates!.biases)
          expected += NaiveLayers.mixture(values, Array(gates[task * experts..<(task + 1) * experts]))
        }
      }
      return expected
    }
  }

  @Test func sharesOfLargeLogitsAreFinite() {
    var values: [Float] = [500, 501, -500]
    ExpertMixture.softmax(&values, 3)
    #expect(abs(values[0] - 0.268_941_4) < 1e-6 && abs(values[1] - 0.731_058_6) < 1e-6 && values[2] == 0)
  }
}
