import COpenBLAS
import FreshetCore

/// Computes logits and gradients of a `NetworkShape`, a batch at a time.
///
/// Owns the memory between forward and backward, which grows to the largest batch seen and is used again: a step allocates
/// nothing. Not thread-safe. Large matrix products are OpenBLAS's; call `useOneThread()` once in a process.
public final class Network {
  public let shape: NetworkShape
  public let layout: DenseLayout
  private let pooling: PoolingLayer
  private let factorization: FactorizationLayer?
  private let body: NetworkBody
  private let readsVectors: Bool
  private var capacity = 0
  /// `capacity × inputWidth`; the first `vectorWidth` columns of a row are the pooled vectors, if the body reads them.
  private let input = FloatBuffer()
  private let inputGradients = FloatBuffer()
  /// Where pooled vectors lie when the body does not read them.
  private let apart = FloatBuffer()
  private let apartGradients = FloatBuffer()
  /// What leads past the body: one float for each example, and its gradient.
  private let wide = FloatBuffer()
  private let wideGradients = FloatBuffer()

  /// - Parameter pooling: For each slot, how several values become one vector.
  public init(shape: NetworkShape, pooling: [SlotSpec.Pooling]) {
    precondition(pooling.count == shape.slots)
    self.shape = shape
    layout = DenseLayout(shape: shape)
    readsVectors = shape.readsVectors
    self.pooling = PoolingLayer(factors: shape.factors, pooling: pooling)
    factorization =
      shape.hasFactorizationMachine
      ? FactorizationLayer(
        offsets: shape.factorizedSlots.map { shape.vectorOffsets[$0] }, factors: shape.factorizedWidth) : nil
    body = NetworkBody(shape: shape, layout: layout)
  }

  /// Batches are small: threads inside a matrix product cost more than they save.
  public static func useOneThread() { openblas_set_num_threads(1) }

  /// Computes the logits of a batch.
  /// - Parameter parameters: `layout.parameterCount` floats.
  /// - Returns: Row-major `count × tasks`, valid until the next call.
  public func forward(_ batch: NetworkInput, parameters: UnsafePointer<Float>) -> UnsafePointer<Float> {
    reserve(batch.count)
    pooling.forward(batch, vectors: vectors, stride: vectorStride, wide: wide.start)
    if let factorization {
      factorization.forward(count: batch.count, vectors: vectors, stride: vectorStride, addingTo: wide.start)
    }
    copyDenseFeatures(batch)
    return body.forward(input.start, count: batch.count, parameters: parameters, wide: wide.start)
  }

  /// Propagates the loss's gradient back; call right after `forward` with the same batch and parameters.
  /// - Parameters:
  ///   - logitGradients: ∂loss/∂logit, row-major `count × tasks`.
  ///   - rowGradients: Of rows where `batch.gradientRows` says; added to.
  ///   - parameterGradients: `layout.parameterCount` floats; added to.
  public func backward(
    _ batch: NetworkInput, parameters: UnsafePointer<Float>, logitGradients: UnsafePointer<Float>,
    rowGradients: UnsafeMutablePointer<Float>, parameterGradients: UnsafeMutablePointer<Float>
  ) {
    body.backward(
      input.start, count: batch.count, parameters: parameters, logitGradients: logitGradients,
      parameterGradients: parameterGradients, inputGradients: readsVectors ? inputGradients.start : nil,
      tasks: shape.tasks)
    for example in 0..<batch.count {
      var sum: Float = 0
      for task in 0..<shape.tasks { sum += logitGradients[example &* shape.tasks &+ task] }
      wideGradients.start[example] = sum
    }
    let vectorGradients = readsVectors ? inputGradients.start : apartGradients.start
    if !readsVectors { vectorGradients.update(repeating: 0, count: batch.count &* shape.vectorWidth) }
    if let factorization {
      factorization.backward(
        count: batch.count, vectors: vectors, stride: vectorStride, wideGradients: wideGradients.start,
        addingTo: vectorGradients)
    }
    pooling.backward(
      batch, vectorGradients: vectorGradients, stride: vectorStride, wideGradients: wideGradients.start,
      rowGradients: rowGradients)
  }

  /// Pooled vectors lie in the body's input if it reads them: no copy.
  private var vectors: UnsafeMutablePointer<Float> { readsVectors ? input.start : apart.start }
  private var vectorStride: Int { readsVectors ? shape.inputWidth : shape.vectorWidth }

  private func copyDenseFeatures(_ batch: NetworkInput) {
    let count = shape.denseFeatures
    guard count > 0 else { return }
    let width = shape.inputWidth
    let target = input.start + (width &- count)
    for example in 0..<batch.count {
      (target + example &* width).update(from: batch.denseFeatures + example &* count, count: count)
    }
  }

  private func reserve(_ count: Int) {
    guard count > capacity else { return }
    capacity = max(count, capacity * 2)
    input.reserve(capacity * shape.inputWidth)
    inputGradients.reserve(capacity * shape.inputWidth)
    if !readsVectors {
      apart.reserve(capacity * shape.vectorWidth)
      apartGradients.reserve(capacity * shape.vectorWidth)
    }
    wide.reserve(capacity)
    wideGradients.reserve(capacity)
    factorization?.reserve(capacity)
    body.reserve(capacity)
  }
}
