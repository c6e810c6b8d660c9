/// The cross layers of DCN-v2 and what lies above or beside them. The first layer's product comes from `FirstLayer`, as does, in the
/// parallel structure, the first of the layers beside.
final class PackedCross {
  private let tensors: [DenseLayout.Cross]
  /// Of each layer, what is left to compute: nil where the product is at hand.
  private let projections: [PackedMatrix?]
  private let matrices: [PackedMatrix?]
  private let tower: PackedTower
  private let crossHeads: PackedHeads?
  private let width: Int
  private let projected: RowBlock
  private let product: RowBlock
  /// By turns x and the next one.
  private let values: [RowBlock]
  /// Where a joined row has what the first layer multiplies, and the input.
  private let productColumn: Int
  private let inputColumn: Int

  /// - Parameter first: Whose last linear block is the first cross layer's.
  init(_ layout: DenseLayout, first: FirstLayer, inputColumn: Int) {
    tensors = layout.cross
    width = PackedMatrix.padded(tensors[0].layer.weights.columns)
    let isLowRank = tensors[0].projection != nil
    projections = tensors.enumerated().map { number, layer in
      guard number > 0, let tensor = layer.projection else { return nil }
      return PackedMatrix(rows: tensor.rows, columns: tensor.columns)
    }
    matrices = tensors.enumerated().map { number, layer in
      guard number > 0 || isLowRank else { return nil }
      return PackedMatrix(rows: layer.layer.weights.rows, columns: layer.layer.weights.columns)
    }
    let tower = layout.towers[0]
    crossHeads = layout.crossHead.map { PackedHeads($0, biases: nil) }
    self.tower = PackedTower(
      crossHeads == nil ? tower.layers[...] : tower.layers.dropFirst(), head: tower.head)
    projected = RowBlock(stride: PackedMatrix.padded(tensors[0].projection?.columns ?? 0))
    product = RowBlock(stride: width)
    values = [RowBlock(stride: width), RowBlock(stride: width)]
    productColumn = first.blocks[first.blocks.count - 1].column
    self.inputColumn = inputColumn
  }

  func load(_ parameters: UnsafePointer<Float>) {
    for (number, layer) in tensors.enumerated() {
      if let matrix = projections[number], let tensor = layer.projection { matrix.load(tensor, nil, parameters) }
      matrices[number]?.load(layer.layer.weights, layer.layer.biases, parameters)
    }
    tower.load(parameters)
    crossHeads?.load(parameters)
  }

  /// Adds the logits of `count` joined rows, `RowBlock.size` at most, to the outputs.
  func addLogits(
    _ joined: UnsafePointer<Float>, stride: Int, count: Int, to output: UnsafeMutablePointer<Float>, outputStride: Int
  ) {
    let input = joined + inputColumn
    var (below, belowStride) = (input, stride)
    for number in 0..<tensors.count {
      var (factor, factorStride) = (joined + productColumn, stride)
      if number > 0, let projection = projections[number] {
        projection.multiply(below, stride: belowStride, count: count, isRectified: false, into: projected.rows)
        (factor, factorStride) = (UnsafePointer(projected.start), projected.stride)
      } else if number > 0 {
        (factor, factorStride) = (below, belowStride)
      }
      if let matrix = matrices[number] {
        matrix.multiply(factor, stride: factorStride, count: count, isRectified: false, into: product.rows)
        (factor, factorStride) = (UnsafePointer(product.start), product.stride)
      }
      let target = values[number & 1]
      for member in 0..<count {
        Self.multiply(
          input + member &* stride, factor + member &* factorStride, adding: below + member &* belowStride,
          into: target.rows[member], width)
      }
      (below, belowStride) = (UnsafePointer(target.start), target.stride)
    }
    if let crossHeads {
      tower.addLogits(joined, stride: stride, count: count, to: output, outputStride: outputStride)
      crossHeads.addProducts(below, stride: belowStride, count: count, to: output, outputStride: outputStride)
    } else {
      tower.addLogits(below, stride: belowStride, count: count, to: output, outputStride: outputStride)
    }
  }

  /// - Parameter width: A multiple of 8.
  @inline(__always)
  private static func multiply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, adding c: UnsafePointer<Float>,
    into target: UnsafeMutablePointer<Float>, _ width: Int
  ) {
    let (a, b, c) = (UnsafeRawPointer(a), UnsafeRawPointer(b), UnsafeRawPointer(c))
    let target = UnsafeMutableRawPointer(target)
    var byte = 0
    while byte < width &* 4 {
      let sum =
        a.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
        * b.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
        + c.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
      target.storeBytes(of: sum, toByteOffset: byte, as: SIMD8<Float>.self)
      byte &+= 32
    }
  }
}
