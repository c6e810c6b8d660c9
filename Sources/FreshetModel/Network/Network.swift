import COpenBLAS
import FreshetCore

/// Computes logits and gradients of a `NetworkShape`, a batch at a time.
///
/// Owns the memory between forward and backward, which grows to the largest batch seen and is used again: a step allocates
/// nothing. Not thread-safe. Matrix products are OpenBLAS's; call `useOneThread()` once in a process.
public final class Network {
  public let shape: NetworkShape
  public let layout: DenseLayout
  private let poolsByMean: [Bool]
  private var capacity = 0
  /// `capacity × inputWidth`; the first `slots × factors` columns of a row are the pooled vectors.
  private var input = FloatBuffer()
  /// Where pooled vectors lie when no hidden layer reads them.
  private var pooled = FloatBuffer()
  private var pooledGradients = FloatBuffer()
  private var factorSums = FloatBuffer()
  private var wide = FloatBuffer()
  private var logits = FloatBuffer()
  private var activations: [FloatBuffer]
  private var activationGradients: [FloatBuffer]
  private var inputGradients = FloatBuffer()

  /// - Parameter poolsByMean: For each slot, whether several values are averaged rather than summed.
  public init(shape: NetworkShape, poolsByMean: [Bool]) {
    precondition(poolsByMean.count == shape.slots)
    self.shape = shape
    self.poolsByMean = poolsByMean
    layout = DenseLayout(shape: shape)
    activations = shape.hidden.map { _ in FloatBuffer() }
    activationGradients = shape.hidden.map { _ in FloatBuffer() }
  }

  /// Batches are small: threads inside a matrix product cost more than they save.
  public static func useOneThread() { openblas_set_num_threads(1) }

  /// Computes the logits of a batch.
  /// - Parameter parameters: `layout.parameterCount` floats.
  /// - Returns: Row-major `count × tasks`, valid until the next call.
  public func forward(_ batch: NetworkInput, parameters: UnsafePointer<Float>) -> UnsafePointer<Float> {
    reserve(batch.count)
    pool(batch)
    let top = forwardLayers(count: batch.count, parameters: parameters)
    let heads = layout.tensors[layout.tensors.count - 2]
    let biases = layout.tensors[layout.tensors.count - 1]
    for example in 0..<batch.count {
      for task in 0..<shape.tasks {
        logits.start[example * shape.tasks + task] = wide.start[example] + parameters[biases.offset + task]
      }
    }
    if heads.rows > 0 {
      MatrixProducts.multiply(
        top, parameters + heads.offset, into: logits.start, rows: batch.count, inner: heads.rows, columns: shape.tasks,
        accumulates: true)
    }
    return UnsafePointer(logits.start)
  }

  /// Propagates the loss's gradient back; call right after `forward` with the same batch and parameters.
  /// - Parameters:
  ///   - logitGradients: ∂loss/∂logit, row-major `count × tasks`.
  ///   - rowGradients: Like `batch.rows`; gradients are added to it.
  ///   - parameterGradients: `layout.parameterCount` floats; overwritten.
  public func backward(
    _ batch: NetworkInput, parameters: UnsafePointer<Float>, logitGradients: UnsafePointer<Float>,
    rowGradients: UnsafeMutablePointer<Float>, parameterGradients: UnsafeMutablePointer<Float>
  ) {
    backwardLayers(
      count: batch.count, parameters: parameters, logitGradients: logitGradients, parameterGradients: parameterGradients
    )
    scatter(batch, logitGradients: logitGradients, rowGradients: rowGradients)
  }

  // MARK: - Embeddings

  private var vectorWidth: Int { shape.slots * shape.factors }
  private var hasDeepPart: Bool { !shape.hidden.isEmpty }
  /// Pooled vectors lie in the input of the first layer if there is one: no copy.
  private var vectors: UnsafeMutablePointer<Float> { hasDeepPart ? input.start : pooled.start }
  private var vectorStride: Int { hasDeepPart ? shape.inputWidth : vectorWidth }

  /// Sums or averages each slot's rows, and computes the linear and the FM part.
  private func pool(_ batch: NetworkInput) {
    let factors = shape.factors
    let slots = shape.slots
    let width = shape.rowWidth
    for example in 0..<batch.count {
      let vector = vectors + example &* vectorStride
      vector.update(repeating: 0, count: vectorWidth)
      var linear: Float = 0
      for slot in 0..<slots {
        let first = Int(batch.starts[example &* slots &+ slot])
        let end = Int(batch.starts[example &* slots &+ slot &+ 1])
        guard end > first else { continue }
        let scale: Float = poolsByMean[slot] ? 1 / Float(end &- first) : 1
        let target = vector + slot &* factors
        for position in first..<end {
          let row = batch.rows + Int(batch.occurrences[position]) &* width
          for factor in 0..<factors { target[factor] += scale * row[factor] }
          linear += scale * row[factors]
        }
      }
      wide.start[example] = linear + (shape.hasFactorizationMachine ? interactions(vector, example) : 0)
      let denseTarget = input.start + (example &* shape.inputWidth &+ (hasDeepPart ? vectorWidth : 0))
      denseTarget.update(
        from: batch.denseFeatures + example &* shape.denseFeatures, count: shape.denseFeatures)
    }
  }

  /// The FM part of one example; keeps the sum over slots for the way back.
  private func interactions(_ vector: UnsafeMutablePointer<Float>, _ example: Int) -> Float {
    let factors = shape.factors
    let sums = factorSums.start + example &* factors
    sums.update(repeating: 0, count: factors)
    var squares: Float = 0
    for slot in 0..<shape.slots {
      let source = vector + slot &* factors
      for factor in 0..<factors {
        sums[factor] += source[factor]
        squares += source[factor] * source[factor]
      }
    }
    var total: Float = 0
    for factor in 0..<factors { total += sums[factor] * sums[factor] }
    return 0.5 * (total - squares)
  }

  /// Adds each example's gradient to the rows that it used.
  private func scatter(
    _ batch: NetworkInput, logitGradients: UnsafePointer<Float>, rowGradients: UnsafeMutablePointer<Float>
  ) {
    let factors = shape.factors
    let slots = shape.slots
    let width = shape.rowWidth
    for example in 0..<batch.count {
      var wideGradient: Float = 0
      for task in 0..<shape.tasks { wideGradient += logitGradients[example &* shape.tasks &+ task] }
      let vector = vectors + example &* vectorStride
      let gradient = pooledGradients.start
      if hasDeepPart {
        gradient.update(from: inputGradients.start + example &* shape.inputWidth, count: vectorWidth)
      } else {
        gradient.update(repeating: 0, count: vectorWidth)
      }
      if shape.hasFactorizationMachine {
        let sums = factorSums.start + example &* factors
        for slot in 0..<slots {
          let base = slot &* factors
          for factor in 0..<factors {
            gradient[base &+ factor] += wideGradient * (sums[factor] - vector[base &+ factor])
          }
        }
      }
      for slot in 0..<slots {
        let first = Int(batch.starts[example &* slots &+ slot])
        let end = Int(batch.starts[example &* slots &+ slot &+ 1])
        guard end > first else { continue }
        let scale: Float = poolsByMean[slot] ? 1 / Float(end &- first) : 1
        let source = gradient + slot &* factors
        for position in first..<end {
          let target = rowGradients + Int(batch.occurrences[position]) &* width
          for factor in 0..<factors { target[factor] += scale * source[factor] }
          target[factors] += scale * wideGradient
        }
      }
    }
  }

  // MARK: - Layers

  /// - Returns: The heads' input, `count × heads.rows`.
  private func forwardLayers(count: Int, parameters: UnsafePointer<Float>) -> UnsafePointer<Float> {
    var below = UnsafePointer(input.start)
    for layer in shape.hidden.indices {
      let weights = layout.tensors[2 * layer]
      let biases = parameters + layout.tensors[2 * layer + 1].offset
      let output = activations[layer].start
      for example in 0..<count { (output + example &* weights.columns).update(from: biases, count: weights.columns) }
      MatrixProducts.multiply(
        below, parameters + weights.offset, into: output, rows: count, inner: weights.rows, columns: weights.columns,
        accumulates: true)
      for index in 0..<count &* weights.columns { output[index] = max(0, output[index]) }
      below = UnsafePointer(output)
    }
    return below
  }

  private func backwardLayers(
    count: Int, parameters: UnsafePointer<Float>, logitGradients: UnsafePointer<Float>,
    parameterGradients: UnsafeMutablePointer<Float>
  ) {
    let headsNumber = layout.tensors.count - 2
    var above = logitGradients
    for number in stride(from: headsNumber, through: 0, by: -2) {
      let weights = layout.tensors[number]
      let layer = number / 2
      let below = layer == 0 ? UnsafePointer(input.start) : UnsafePointer(activations[layer - 1].start)
      MatrixProducts.sumRows(
        above, into: parameterGradients + layout.tensors[number + 1].offset, rows: count, columns: weights.columns)
      guard weights.rows > 0 else { continue }
      MatrixProducts.multiplyTransposed(
        below, above, into: parameterGradients + weights.offset, rows: count, inner: weights.rows,
        columns: weights.columns)
      let target = layer == 0 ? inputGradients.start : activationGradients[layer - 1].start
      if layer == 0 && !hasDeepPart { continue }
      MatrixProducts.multiplyByTransposed(
        above, parameters + weights.offset, into: target, rows: count, inner: weights.rows, columns: weights.columns,
        accumulates: false)
      if layer > 0 {
        let activation = activations[layer - 1].start
        for index in 0..<count &* weights.rows { target[index] = activation[index] > 0 ? target[index] : 0 }
      }
      above = UnsafePointer(target)
    }
  }

  private func reserve(_ count: Int) {
    guard count > capacity else { return }
    capacity = max(count, capacity * 2)
    input.reserve(capacity * shape.inputWidth)
    inputGradients.reserve(capacity * shape.inputWidth)
    pooled.reserve(hasDeepPart ? 0 : capacity * vectorWidth)
    pooledGradients.reserve(vectorWidth)
    factorSums.reserve(capacity * shape.factors)
    wide.reserve(capacity)
    logits.reserve(capacity * shape.tasks)
    for (layer, width) in shape.hidden.enumerated() {
      activations[layer].reserve(capacity * width)
      activationGradients[layer].reserve(capacity * width)
    }
  }
}
