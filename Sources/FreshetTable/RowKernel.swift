import FreshetCore

/// Reads, writes and updates the bytes of a row: one optimizer on one weight format.
struct RowKernel<Kernel: RowOptimizer, Storage: WeightStorage> {
  let optimizer: Kernel
  let shape: RowShape
  let rules: GradientRules
  /// Room for one vector of weights or gradients, in 32 bits.
  let scratch: UnsafeMutablePointer<Float>

  /// Writes a row that has never been updated.
  @inline(__always)
  func initialize(_ row: UnsafeMutableRawPointer, fid: Fid, _ initializer: Initializer) {
    let weights = Storage.byteCount == 4 ? row.assumingMemoryBound(to: Float.self) : scratch
    initializer.write(fid: fid, width: shape.width, into: weights)
    if Storage.byteCount != 4 { storeWeights(weights, to: row) }
    initializeState(row + shape.weightBytes, weights: weights)
  }

  /// Writes the optimizer state of a row that has never been updated.
  @inline(__always)
  func initializeState(_ first: UnsafeMutableRawPointer, weights: UnsafePointer<Float>) {
    guard Kernel.stateVectors > 0 || Kernel.stateScalars > 0 else { return }
    let second = first + shape.width &* 4
    forEachBlock { column, count in
      let state = optimizer.initialState(weight: loadFirst(count, weights + column))
      if Kernel.stateVectors > 0 { storeFirst(count, state.first, first + column &* 4) }
      if Kernel.stateVectors > 1 { storeFirst(count, state.second, second + column &* 4) }
    }
    scalars(first).update(repeating: 0, count: Kernel.stateScalars)
  }

  /// Applies one gradient.
  /// - Parameter noise: Chooses how weights of 16 bits are rounded; any number will do, and different ones are best.
  @inline(__always)
  func update(_ row: UnsafeMutableRawPointer, gradient: UnsafePointer<Float>, noise: UInt64) {
    update(row, state: row + shape.weightBytes, gradient: gradient, noise: noise)
  }

  /// Applies one gradient to weights and optimizer state that need not lie one behind the other.
  @inline(__always)
  func update(
    _ row: UnsafeMutableRawPointer, state first: UnsafeMutableRawPointer, gradient given: UnsafePointer<Float>,
    noise: UInt64
  ) {
    var gradient = given
    if rules.changesGradient {
      loadWeights(row, into: scratch)
      rules.rewrite(given, weights: scratch, width: shape.width, into: scratch)
      gradient = UnsafePointer(scratch)
    }
    let step = optimizer.beginStep(scalars(first))
    let shrinks = rules.l1 != 0
    let second = first + shape.width &* 4
    let rawGradient = UnsafeRawPointer(gradient)
    var column = 0
    while column &+ 8 <= shape.width {
      let byte = column &* 4
      let weightAddress = row + column &* Storage.byteCount
      var weight = Storage.load(weightAddress)
      var a = Kernel.stateVectors > 0 ? first.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self) : .zero
      var b = Kernel.stateVectors > 1 ? second.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self) : .zero
      let g = rawGradient.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
      optimizer.apply(g, to: &weight, &a, &b, step)
      if shrinks { shrink(&weight) }
      Storage.store(weight, noise: dither(noise, column), weightAddress)
      if Kernel.stateVectors > 0 { first.storeBytes(of: a, toByteOffset: byte, as: SIMD8<Float>.self) }
      if Kernel.stateVectors > 1 { second.storeBytes(of: b, toByteOffset: byte, as: SIMD8<Float>.self) }
      column &+= 8
    }
    let rest = shape.width &- column
    guard rest > 0 else { return }
    let byte = column &* 4
    let weightAddress = row + column &* Storage.byteCount
    var weight = Storage.load(first: rest, weightAddress)
    var a = Kernel.stateVectors > 0 ? loadFirst(rest, first + byte) : .zero
    var b = Kernel.stateVectors > 1 ? loadFirst(rest, second + byte) : .zero
    optimizer.apply(loadFirst(rest, rawGradient + byte), to: &weight, &a, &b, step)
    if shrinks { shrink(&weight) }
    Storage.store(first: rest, weight, noise: dither(noise, column), weightAddress)
    if Kernel.stateVectors > 0 { storeFirst(rest, a, first + byte) }
    if Kernel.stateVectors > 1 { storeFirst(rest, b, second + byte) }
  }

  /// Copies the weights out.
  @inline(__always)
  func loadWeights(_ row: UnsafeRawPointer, into output: UnsafeMutablePointer<Float>) {
    let raw = UnsafeMutableRawPointer(output)
    var column = 0
    while column &+ 8 <= shape.width {
      raw.storeBytes(
        of: Storage.load(row + column &* Storage.byteCount), toByteOffset: column &* 4, as: SIMD8<Float>.self)
      column &+= 8
    }
    let rest = shape.width &- column
    if rest > 0 { storeFirst(rest, Storage.load(first: rest, row + column &* Storage.byteCount), raw + column &* 4) }
  }

  /// Copies weights in, each as the nearest value of the format.
  @inline(__always)
  func storeWeights(_ weights: UnsafePointer<Float>, to row: UnsafeMutableRawPointer) {
    forEachBlock { column, count in
      Storage.store(first: count, loadFirst(count, weights + column), row + column &* Storage.byteCount)
    }
  }

  /// Moves weights towards 0 by `rate × l1`, and no further.
  @inline(__always)
  private func shrink(_ weight: inout SIMD8<Float>) {
    let bound = optimizer.learningRate * rules.l1
    let above = weight - bound
    let below = weight + bound
    weight = SIMD8<Float>.zero.replacing(with: above, where: above .> 0).replacing(with: below, where: below .< 0)
  }

  @inline(__always)
  private func scalars(_ state: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Float> {
    (state + Kernel.stateVectors &* shape.width &* 4).assumingMemoryBound(to: Float.self)
  }

  /// Random lanes for rounding, or zeros for a format that does not round.
  @inline(__always)
  private func dither(_ noise: UInt64, _ column: Int) -> SIMD8<UInt32> {
    guard Storage.byteCount != 4 else { return .zero }
    let lanes = SIMD8<UInt32>(0, 1, 2, 3, 4, 5, 6, 7) &+ UInt32(truncatingIfNeeded: column)
    var x = (lanes &* 0x9e37_79b9) ^ UInt32(truncatingIfNeeded: noise)
    x = (x ^ (x &>> 16)) &* 0x7feb_352d
    x = (x ^ (x &>> 15)) &* 0x846c_a68b
    return x &>> 16
  }

  /// Columns in blocks of eight, the last one shorter.
  @inline(__always)
  private func forEachBlock(_ body: (_ column: Int, _ count: Int) -> Void) {
    var column = 0
    while column < shape.width {
      body(column, min(8, shape.width &- column))
      column &+= 8
    }
  }
}
