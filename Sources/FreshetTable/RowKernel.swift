import CIntrinsics
import FreshetCore

/// How many weights a row has, for widths of which the compiler is to write down each step of an update, without a loop: a row of 64
/// weights is updated up to a tenth faster.
protocol RowWidth {
  /// Nil where the table says how many.
  static var columns: Int? { get }
}

enum AnyWidth: RowWidth { static var columns: Int? { nil } }
enum Width8: RowWidth { static var columns: Int? { 8 } }
enum Width16: RowWidth { static var columns: Int? { 16 } }
enum Width32: RowWidth { static var columns: Int? { 32 } }
enum Width64: RowWidth { static var columns: Int? { 64 } }

/// Reads, writes and updates the bytes of a row: one optimizer on one weight format.
struct RowKernel<Kernel: RowOptimizer, Storage: WeightStorage, Width: RowWidth> {
  let optimizer: Kernel
  let shape: RowShape
  let rules: GradientRules
  /// Room for one vector of weights or gradients, in 32 bits.
  let scratch: UnsafeMutablePointer<Float>
  /// Whether any of the rules is in force, asked once and not for each row.
  private let hasRules: Bool

  @inline(__always)
  init(optimizer: Kernel, shape: RowShape, rules: GradientRules, scratch: UnsafeMutablePointer<Float>) {
    self.optimizer = optimizer
    self.shape = shape
    self.rules = rules
    self.scratch = scratch
    hasRules = rules.changesGradient || rules.l1 != 0
  }

  @inline(__always)
  var width: Int { Width.columns ?? shape.width }

  // Those of the shape, known to the compiler where the width is.
  @inline(__always)
  var weightBytes: Int { RowShape.weightBytes(width, of: Storage.byteCount) }
  @inline(__always)
  var rowBytes: Int { weightBytes &+ (Kernel.stateVectors &* width &+ Kernel.stateScalars) &* 4 }

  /// Writes a row that has never been updated.
  @inline(__always)
  func initialize(_ row: UnsafeMutableRawPointer, fid: Fid, _ initializer: Initializer) {
    let weights = Storage.byteCount == 4 ? row.assumingMemoryBound(to: Float.self) : scratch
    initializer.write(fid: fid, width: width, into: weights)
    if Storage.byteCount != 4 { storeWeights(weights, to: row) }
    initializeState(row + weightBytes, weights: weights)
  }

  /// Writes the optimizer state of a row that has never been updated.
  @inline(__always)
  func initializeState(_ first: UnsafeMutableRawPointer, weights: UnsafePointer<Float>) {
    guard Kernel.stateVectors > 0 || Kernel.stateScalars > 0 else { return }
    let second = first + width &* 4
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
    update(row, state: row + weightBytes, gradient: gradient, noise: noise)
  }

  /// Applies one gradient to weights and optimizer state that need not lie one behind the other.
  @inline(__always)
  func update(
    _ row: UnsafeMutableRawPointer, state first: UnsafeMutableRawPointer, gradient given: UnsafePointer<Float>,
    noise: UInt64
  ) {
    if _slowPath(hasRules) { return updateByRules(row, first, given, noise) }
    apply(given, to: row, first, optimizer.beginStep(scalars(first)), noise, shrinks: false)
  }

  /// In a function of its own: beside it, the compiler took the vectors of the step without rules to pieces.
  @inline(never)
  private func updateByRules(
    _ row: UnsafeMutableRawPointer, _ first: UnsafeMutableRawPointer, _ given: UnsafePointer<Float>, _ noise: UInt64
  ) {
    var gradient = given
    if rules.changesGradient {
      loadWeights(row, into: scratch)
      rules.rewrite(given, weights: scratch, width: width, into: scratch)
      gradient = UnsafePointer(scratch)
    }
    apply(gradient, to: row, first, optimizer.beginStep(scalars(first)), noise, shrinks: rules.l1 != 0)
  }

  @inline(__always)
  private func apply(
    _ gradient: UnsafePointer<Float>, to row: UnsafeMutableRawPointer, _ first: UnsafeMutableRawPointer,
    _ step: Kernel.Step, _ noise: UInt64, shrinks: Bool
  ) {
    var column = 0
    while column &+ 16 <= width {
      apply8(column, gradient, to: row, first, step, noise, shrinks)
      apply8(column &+ 8, gradient, to: row, first, step, noise, shrinks)
      column &+= 16
    }
    if column &+ 8 <= width {
      apply8(column, gradient, to: row, first, step, noise, shrinks)
      column &+= 8
    }
    let rest = width &- column
    guard rest > 0 else { return }
    let second = first + width &* 4
    let byte = column &* 4
    let weightAddress = row + column &* Storage.byteCount
    var weight = Storage.load(first: rest, weightAddress)
    var a = Kernel.stateVectors > 0 ? loadFirst(rest, first + byte) : .zero
    var b = Kernel.stateVectors > 1 ? loadFirst(rest, second + byte) : .zero
    optimizer.apply(loadFirst(rest, gradient + column), to: &weight, &a, &b, step)
    if shrinks { shrink(&weight) }
    Storage.store(first: rest, weight, noise: dither(noise, column), weightAddress)
    if Kernel.stateVectors > 0 { storeFirst(rest, a, first + byte) }
    if Kernel.stateVectors > 1 { storeFirst(rest, b, second + byte) }
  }

  /// Eight weights from `column` on.
  @inline(__always)
  private func apply8(
    _ column: Int, _ gradient: UnsafePointer<Float>, to row: UnsafeMutableRawPointer, _ first: UnsafeMutableRawPointer,
    _ step: Kernel.Step, _ noise: UInt64, _ shrinks: Bool
  ) {
    let second = first + width &* 4
    let byte = column &* 4
    let weightAddress = row + column &* Storage.byteCount
    var weight = Storage.load(weightAddress)
    var a = Kernel.stateVectors > 0 ? fi_load_float8(first + byte) : .zero
    var b = Kernel.stateVectors > 1 ? fi_load_float8(second + byte) : .zero
    let g = fi_load_float8(gradient + column)
    optimizer.apply(g, to: &weight, &a, &b, step)
    if shrinks { shrink(&weight) }
    Storage.store(weight, noise: dither(noise, column), weightAddress)
    if Kernel.stateVectors > 0 { fi_store_float8(a, first + byte) }
    if Kernel.stateVectors > 1 { fi_store_float8(b, second + byte) }
  }

  /// Copies the weights out.
  @inline(__always)
  func loadWeights(_ row: UnsafeRawPointer, into output: UnsafeMutablePointer<Float>) {
    var column = 0
    while column &+ 32 <= width {
      load16(row, column, output)
      load16(row, column &+ 16, output)
      column &+= 32
    }
    if column &+ 16 <= width {
      load16(row, column, output)
      column &+= 16
    }
    if column &+ 8 <= width {
      fi_store_float8(Storage.load(row + column &* Storage.byteCount), output + column)
      column &+= 8
    }
    let rest = width &- column
    if rest > 0 { storeFirst(rest, Storage.load(first: rest, row + column &* Storage.byteCount), output + column) }
  }

  @inline(__always)
  private func load16(_ row: UnsafeRawPointer, _ column: Int, _ output: UnsafeMutablePointer<Float>) {
    let source = row + column &* Storage.byteCount
    fi_store_float8(Storage.load(source), output + column)
    fi_store_float8(Storage.load(source + 8 &* Storage.byteCount), output + (column &+ 8))
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
    (state + Kernel.stateVectors &* width &* 4).assumingMemoryBound(to: Float.self)
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
    while column < width {
      body(column, min(8, width &- column))
      column &+= 8
    }
  }
}
