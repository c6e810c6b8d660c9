import CIntrinsics

/// A matrix of weights in the order in which `multiply` reads it: panels of 16 columns, in each of them row after row. Columns
/// are filled up with zeros to whole panels.
///
/// Each output is `bias + Σ_k input_k × weight_k`, one fused multiplication and addition after the other in the order of `k`,
/// whatever rows of input are computed together: the result of a row does not depend on its neighbours, to the bit.
final class PackedMatrix {
  static let panelColumns = 16

  let rows: Int
  let columns: Int
  let panels: Int
  private let weights: AlignedFloats
  private let biases: AlignedFloats

  /// All zeros.
  init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    panels = (columns + Self.panelColumns - 1) / Self.panelColumns
    weights = AlignedFloats(count: panels * rows * Self.panelColumns)
    biases = AlignedFloats(count: panels * Self.panelColumns)
  }

  /// Columns with their padding.
  var paddedColumns: Int { panels * Self.panelColumns }

  /// So many columns with their padding.
  static func padded(_ columns: Int) -> Int { (columns + panelColumns - 1) / panelColumns * panelColumns }

  /// Sets a part of a row.
  /// - Parameters:
  ///   - column: The first one, a multiple of `panelColumns`.
  ///   - values: `count` floats.
  func setRow(_ row: Int, column first: Int, _ values: UnsafePointer<Float>, count: Int) {
    precondition(first % Self.panelColumns == 0)
    var column = 0
    while column < count {
      (weights.start + ((first + column) / Self.panelColumns * rows + row) * Self.panelColumns).update(
        from: values + column, count: min(Self.panelColumns, count - column))
      column += Self.panelColumns
    }
  }

  /// - Parameter values: `count` floats for the columns from `column` on.
  func setBiases(column: Int, _ values: UnsafePointer<Float>, count: Int) {
    (biases.start + column).update(from: values, count: count)
  }

  /// Takes the tensors of a whole layer.
  func load(_ weights: DenseLayout.Tensor, _ biases: DenseLayout.Tensor?, _ parameters: UnsafePointer<Float>) {
    for row in 0..<rows {
      setRow(row, column: 0, parameters + weights.offset + row * weights.columns, count: columns)
    }
    if let biases { setBiases(column: 0, parameters + biases.offset, count: columns) }
  }

  /// Multiplies rows of input with the matrix and adds the biases.
  /// - Parameters:
  ///   - input: `count` rows of `rows` floats, `stride` apart.
  ///   - outputs: For each row of input, where its `paddedColumns` floats go.
  ///   - isRectified: Whether negative outputs become 0.
  func multiply(
    _ input: UnsafePointer<Float>, stride: Int, count: Int, isRectified: Bool,
    into outputs: UnsafePointer<UnsafeMutablePointer<Float>>
  ) {
    var row = 0
    while row &+ 4 <= count {
      multiplyFour(input + row &* stride, stride, outputs + row, isRectified)
      row &+= 4
    }
    while row < count {
      multiplyOne(input + row &* stride, outputs[row], isRectified)
      row &+= 1
    }
  }

  @inline(__always)
  private func multiplyFour(
    _ input: UnsafePointer<Float>, _ stride: Int, _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>,
    _ isRectified: Bool
  ) {
    let (x0, x1, x2, x3) = (input, input + stride, input + 2 &* stride, input + 3 &* stride)
    let (y0, y1) = (UnsafeMutableRawPointer(outputs[0]), UnsafeMutableRawPointer(outputs[1]))
    let (y2, y3) = (UnsafeMutableRawPointer(outputs[2]), UnsafeMutableRawPointer(outputs[3]))
    var weight = UnsafeRawPointer(weights.start)
    var bias = UnsafeRawPointer(biases.start)
    var target = 0
    let end = panels &* 64
    while target < end {
      let (low, high) = (Self.load(bias), Self.load(bias + 32))
      var (a0, b0, a1, b1) = (low, high, low, high)
      var (a2, b2, a3, b3) = (low, high, low, high)
      var k = 0
      while k < rows {
        let (w0, w1) = (Self.load(weight), Self.load(weight + 32))
        let (v0, v1) = (SIMD8(repeating: x0[k]), SIMD8(repeating: x1[k]))
        (a0, b0, a1, b1) = (fi_fma8(v0, w0, a0), fi_fma8(v0, w1, b0), fi_fma8(v1, w0, a1), fi_fma8(v1, w1, b1))
        let (v2, v3) = (SIMD8(repeating: x2[k]), SIMD8(repeating: x3[k]))
        (a2, b2, a3, b3) = (fi_fma8(v2, w0, a2), fi_fma8(v2, w1, b2), fi_fma8(v3, w0, a3), fi_fma8(v3, w1, b3))
        weight += 64
        k &+= 1
      }
      Self.store(a0, b0, y0 + target, isRectified)
      Self.store(a1, b1, y1 + target, isRectified)
      Self.store(a2, b2, y2 + target, isRectified)
      Self.store(a3, b3, y3 + target, isRectified)
      bias += 64
      target &+= 64
    }
  }

  /// One row: four panels at a time, so that additions need not wait for each other.
  @inline(__always)
  private func multiplyOne(_ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ isRectified: Bool) {
    let target = UnsafeMutableRawPointer(output)
    let panelBytes = rows &* 64
    var panel = 0
    while panel &+ 4 <= panels {
      let bias = UnsafeRawPointer(biases.start) + panel &* 64
      var (a0, b0, a1, b1) = (Self.load(bias), Self.load(bias + 32), Self.load(bias + 64), Self.load(bias + 96))
      var (a2, b2, a3, b3) = (
        Self.load(bias + 128), Self.load(bias + 160), Self.load(bias + 192), Self.load(bias + 224)
      )
      var w0 = UnsafeRawPointer(weights.start) + panel &* panelBytes
      var k = 0
      while k < rows {
        let v = SIMD8(repeating: input[k])
        let (w1, w2) = (w0 + panelBytes, w0 + 2 &* panelBytes)
        let w3 = w2 + panelBytes
        (a0, b0) = (fi_fma8(v, Self.load(w0), a0), fi_fma8(v, Self.load(w0 + 32), b0))
        (a1, b1) = (fi_fma8(v, Self.load(w1), a1), fi_fma8(v, Self.load(w1 + 32), b1))
        (a2, b2) = (fi_fma8(v, Self.load(w2), a2), fi_fma8(v, Self.load(w2 + 32), b2))
        (a3, b3) = (fi_fma8(v, Self.load(w3), a3), fi_fma8(v, Self.load(w3 + 32), b3))
        w0 += 64
        k &+= 1
      }
      let place = target + panel &* 64
      Self.store(a0, b0, place, isRectified)
      Self.store(a1, b1, place + 64, isRectified)
      Self.store(a2, b2, place + 128, isRectified)
      Self.store(a3, b3, place + 192, isRectified)
      panel &+= 4
    }
    while panel < panels {
      let bias = UnsafeRawPointer(biases.start) + panel &* 64
      var (a, b) = (Self.load(bias), Self.load(bias + 32))
      var weight = UnsafeRawPointer(weights.start) + panel &* panelBytes
      for k in 0..<rows {
        let v = SIMD8(repeating: input[k])
        (a, b) = (fi_fma8(v, Self.load(weight), a), fi_fma8(v, Self.load(weight + 32), b))
        weight += 64
      }
      Self.store(a, b, target + panel &* 64, isRectified)
      panel &+= 1
    }
  }

  @inline(__always)
  private static func load(_ address: UnsafeRawPointer) -> SIMD8<Float> { address.loadUnaligned(as: SIMD8<Float>.self) }

  @inline(__always)
  private static func store(
    _ low: SIMD8<Float>, _ high: SIMD8<Float>, _ address: UnsafeMutableRawPointer, _ isRectified: Bool
  ) {
    address.storeBytes(of: isRectified ? fi_positive8(low) : low, as: SIMD8<Float>.self)
    (address + 32).storeBytes(of: isRectified ? fi_positive8(high) : high, as: SIMD8<Float>.self)
  }
}
