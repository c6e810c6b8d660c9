import CIntrinsics

/// One side's share of the first layer: pools the side's slots and multiplies them with the layer's rows for them.
final class SideNetwork {
  /// Rows that are pooled before they are multiplied.
  private static let block = 32

  private struct Slot {
    let pooling: SlotSpec.Pooling
    let factors: Int
    let isFactorized: Bool
    /// Of its vector in one row's input here, where vectors are filled up, and among the vectors of all slots.
    let offset: Int
    let wholeOffset: Int
  }

  let weights: PackedMatrix
  private let shape: NetworkShape
  private let side: FeatureSides.Side
  private let first: FirstLayer
  private let slots: [Slot]
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
    var offset = 0
    slots = side.slots.map { slot in
      defer { offset += SideNetwork.padded(shape.factors[slot]) }
      return Slot(
        pooling: pooling[slot], factors: shape.factors[slot], isFactorized: shape.factorizedSlots.contains(slot),
        offset: offset, wholeOffset: shape.vectorOffsets[slot])
    }
    readsVectors = shape.readsVectors
    denseOffset = readsVectors ? offset : 0
    weights = PackedMatrix(rows: denseOffset + side.dense.count, columns: first.columns)
    inputStride = Self.padded(weights.rows)
    input = AlignedFloats(count: Self.block * inputStride)
  }

  /// So many floats filled up to vectors of eight.
  static func padded(_ floats: Int) -> Int { (floats + 7) & ~7 }

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
        for slot in slots {
          for factor in 0..<slot.factors { set(slot.offset + factor, from: slot.wholeOffset + factor) }
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
          rows, rowStride, starts + number &* (slots.count &+ 1), into: target, sums: parts[number] + sumsOffset,
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
    for number in 0..<slots.count {
      let slot = slots[number]
      (target + slot.wholeOffset).update(from: input + slot.offset, count: slot.factors)
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
    for number in 0..<slots.count {
      let slot = slots[number]
      let factors = slot.factors
      let first = Int(starts[number])
      let end = Int(starts[number &+ 1])
      let scale = slot.pooling.scale(end &- first)
      let vector = UnsafeMutableRawPointer(target + slot.offset)
      var column = 0
      while column < factors {
        var sum = SIMD8<Float>.zero
        for position in first..<end {
          let address = rows + (position &* rowStride &+ column)
          let values =
            factors &- column >= 8
            ? UnsafeRawPointer(address).loadUnaligned(as: SIMD8<Float>.self)
            : fi_load_first8(address, Int32(truncatingIfNeeded: factors &- column))
          sum = fi_fma8(values, SIMD8(repeating: scale), sum)
        }
        if readsVectors { vector.storeBytes(of: sum, toByteOffset: column &* 4, as: SIMD8<Float>.self) }
        if slot.isFactorized {
          let total = sumBytes.loadUnaligned(fromByteOffset: column &* 4, as: SIMD8<Float>.self) + sum
          sumBytes.storeBytes(of: total, toByteOffset: column &* 4, as: SIMD8<Float>.self)
          squares = fi_fma8(sum, sum, squares)
        }
        column &+= 8
      }
      for position in first..<end { linear += scale * rows[position &* rowStride &+ factors] }
    }
    sums[factorColumns] = linear - 0.5 * fi_sum8(squares)
  }
}
