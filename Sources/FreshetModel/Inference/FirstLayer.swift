/// The columns that are computed for each side by itself, because they are linear in the input: several layers' weights side by
/// side, each on a multiple of a panel's columns.
struct FirstLayer {
  struct Block {
    let weights: DenseLayout.Tensor
    let biases: DenseLayout.Tensor?
    /// Its first column.
    let column: Int
    let paddedColumns: Int
  }

  /// Those whose sums are made positive come first.
  let blocks: [Block]
  /// Columns of all blocks, the last one without its padding.
  let columns: Int
  let rectifiedColumns: Int
  /// Floats of the whole input that a part holds beside the columns: 0 if nothing reads it.
  let inputColumns: Int

  /// - Parameters:
  ///   - rectified: Layers with ReLU.
  ///   - linear: Tensors of others.
  init(
    rectified: [DenseLayout.Layer], linear: [(weights: DenseLayout.Tensor, biases: DenseLayout.Tensor?)],
    inputColumns: Int
  ) {
    var blocks: [Block] = []
    var column = 0
    func add(_ weights: DenseLayout.Tensor, _ biases: DenseLayout.Tensor?) {
      let padded = PackedMatrix.padded(weights.columns)
      blocks.append(Block(weights: weights, biases: biases, column: column, paddedColumns: padded))
      column += padded
    }
    for layer in rectified { add(layer.weights, layer.biases) }
    rectifiedColumns = column
    for tensor in linear { add(tensor.weights, tensor.biases) }
    self.blocks = blocks
    let last = blocks[blocks.count - 1]
    columns = last.column + last.weights.columns
    self.inputColumns = inputColumns
  }
}

extension FirstLayer {
  init(_ shape: NetworkShape, _ layout: DenseLayout) {
    let tower = layout.towers[0]
    switch shape.body {
    case .plain where shape.hidden.isEmpty:
      self.init(rectified: [], linear: [(tower.head.weights, tower.head.biases)], inputColumns: 0)
    case .plain: self.init(rectified: [tower.layers[0]], linear: [], inputColumns: 0)
    case .cross:
      let cross = layout.cross[0]
      self.init(
        rectified: layout.crossHead == nil ? [] : [tower.layers[0]],
        linear: [cross.projection.map { ($0, nil) } ?? (cross.layer.weights, cross.layer.biases)],
        inputColumns: PackedMatrix.padded(shape.inputWidth))
    case .towers: self.init(rectified: [layout.shared[0]], linear: [], inputColumns: 0)
    case .mixture:
      let gates = layout.gates!
      self.init(rectified: layout.experts.map { $0[0] }, linear: [(gates.weights, gates.biases)], inputColumns: 0)
    }
  }
}
