import CIntrinsics

/// One side's share of the first layer: pools the side's slots and multiplies them with the layer's rows for them.
final class SideNetwork {
  /// Rows that are pooled before they are multiplied.
  private static let block = 32

  let weights: PackedMatrix
  /// Factors of a slot, filled up to vectors of eight.
  let paddedFactors: Int
  private let shape: NetworkShape
  private let side: FeatureSides.Side
  private let first: FirstLayer
  private let pooling: [SlotSpec.Pooling]
  /// Whether pooled vectors are input of the layer.
  private let readsVectors: Bool
  /// Of one row's input, a multiple of 8.
  private let inputStride: Int
  private let denseOffset: Int
  private let input: AlignedFloats

  init(_ shape: NetworkShape, _ side: FeatureSides.Side, pooling: [SlotSpec.Pooling], first: FirstLayer) {
    self.shape = shape
    self.side = side
    self.first = first
    self.pooling = side.slots.map { pooling[$0] }
    readsVectors = shape.readsVectors
    paddedFactors = (shape.factors + 7) & ~7
    denseOffset = readsVectors ? side.slots.count * paddedFactors : 0
    weights = PackedMatrix(rows: denseOffset + side.dense.count, columns: first.columns)
    inputStride = (weights.rows + 7) & ~7
    input = AlignedFloats(count: Self.block * inputStride)
  }

  /// Takes the first layer's weights, of all blocks.
  /// - Parameter includesBiases: Whether this side adds the biases.
  func load(_ parameters: UnsafePointer<Float>, includesBiases: Bool) {
    let vectorRows = readsVectors ? shape.vectorWidth : 0
    for block in first.blocks {
      let tensor = block.weights
      func set(_ row: Int, from source: Int) {
        weights.setRow(
          row, column: block.column, parameters + tensor.offset + source * tensor.columns, count: tensor.columns)
      }
      if readsVectors {
        for (number, slot) in side.slots.enumerated() {
          for factor in 0..<shape.factors { set(number * paddedFactors + factor, from: slot * shape.factors + factor) }
        }
      }
      for (number, feature) in side.dense.enumerated() { set(denseOffset + number, from: vectorRows + feature) }
      if includesBiases, let biases = block.biases {
        weights.setBiases(column: block.column, parameters + biases.offset, count: biases.columns)
      }
    }
  }

  func compute(
    count: Int, rows: UnsafePointer<Float>, rowStride: Int, starts: UnsafePointer<Int32>, dense: UnsafePointer<Float>,
    factorColumns: Int, into parts: UnsafePointer<UnsafeMutablePointer<Float>>
  ) {
    let inputOffset = weights.paddedColumns
    let sumsOffset = inputOffset &+ self.first.inputColumns
    var first = 0
    while first < count {
      let end = min(first &+ Self.block, count)
      for number in first..<end {
        let target = input.start + (number &- first) &* inputStride
        pool(
          rows, rowStride, starts + number &* (side.slots.count &+ 1), into: target, sums: parts[number] + sumsOffset,
          factorColumns: factorColumns)
        for feature in 0..<side.dense.count {
          target[denseOffset &+ feature] = dense[number &* side.dense.count &+ feature]
        }
        if self.first.inputColumns > 0 { copyInput(target, to: parts[number] + inputOffset) }
      }
      weights.multiply(
        input.start, stride: inputStride, count: end &- first, isRectified: false, into: parts + first)
      first = end
    }
  }

  /// Writes this side's share of the whole input, and 0 for what is the other sides'.
  @inline(__always)
  private func copyInput(_ input: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>) {
    target.update(repeating: 0, count: first.inputColumns)
    for number in 0..<side.slots.count {
      (target + side.slots[number] &* shape.factors).update(from: input + number &* paddedFactors, count: shape.factors)
    }
    let dense = target + shape.vectorWidth
    for number in 0..<side.dense.count { dense[side.dense[number]] = input[denseOffset &+ number] }
  }

  /// Makes one vector of each slot's rows.
  /// - Parameter sums: The end of a part: the factors' sums, and behind them the linear weights less half the squares.
  @inline(__always)
  private func pool(
    _ rows: UnsafePointer<Float>, _ rowStride: Int, _ starts: UnsafePointer<Int32>,
    into target: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>, factorColumns: Int
  ) {
    let sumBytes = UnsafeMutableRawPointer(sums)
    for column in stride(from: 0, through: factorColumns, by: 8) {
      sumBytes.storeBytes(of: .zero, toByteOffset: column &* 4, as: SIMD8<Float>.self)
    }
    var linear: Float = 0
    var squares = SIMD8<Float>.zero
    for slot in 0..<side.slots.count {
      let first = Int(starts[slot])
      let end = Int(starts[slot &+ 1])
      let scale = pooling[slot].scale(end &- first)
      let vector = UnsafeMutableRawPointer(target + slot &* paddedFactors)
      var column = 0
      while column < shape.factors {
        var sum = SIMD8<Float>.zero
        for position in first..<end {
          let address = rows + (position &* rowStride &+ column)
          let values =
            shape.factors &- column >= 8
            ? UnsafeRawPointer(address).loadUnaligned(as: SIMD8<Float>.self)
            : fi_load_first8(address, Int32(truncatingIfNeeded: shape.factors &- column))
          sum = fi_fma8(values, SIMD8(repeating: scale), sum)
        }
        if readsVectors { vector.storeBytes(of: sum, toByteOffset: column &* 4, as: SIMD8<Float>.self) }
        if factorColumns > 0 {
          let total = sumBytes.loadUnaligned(fromByteOffset: column &* 4, as: SIMD8<Float>.self) + sum
          sumBytes.storeBytes(of: total, toByteOffset: column &* 4, as: SIMD8<Float>.self)
          squares = fi_fma8(sum, sum, squares)
        }
        column &+= 8
      }
      for position in first..<end { linear += scale * rows[position &* rowStride &+ shape.factors] }
    }
    sums[factorColumns] = linear - 0.5 * fi_sum8(squares)
  }
}
