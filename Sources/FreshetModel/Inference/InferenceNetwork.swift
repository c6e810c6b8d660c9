import CIntrinsics

/// Computes scores of a `NetworkShape`, a row in three parts.
///
/// The first layers are linear in the input, and so are the sums over slots of the linear part and of the factorization machine.
/// So a row's first layers are the sum of what its request, its item and their crosses contribute, each computed by itself: a
/// request's part once for all its candidates, an item's once for all requests. The order of summation of each part, and of
/// the parts, is fixed: a row's scores are the same to the bit, whichever rows are computed with it.
///
/// A part is `partStride` floats: the columns of `FirstLayer` before the activation, the input if cross layers read it, the sums
/// over slots of the factors, and one number: the linear weights less half the squares of the factors. Not thread-safe.
public final class InferenceNetwork {
  /// What is left to compute from a joined row.
  private enum Body {
    /// Nothing: the first layer's columns are the logits.
    case linear
    case tower(PackedTower)
    case cross(PackedCross)
    case towers(PackedTowers)
    case mixture(PackedMixture)
  }

  public let shape: NetworkShape
  public let sides: FeatureSides
  /// Floats of a part.
  public let partStride: Int
  /// Floats from one row of `computeParts`' rows to the next: the weights of the widest rows with what fills them up to vectors.
  public let rowStride: Int
  let layout: DenseLayout
  /// By `RowSide`.
  private let first: [SideNetwork]
  private let body: Body
  private let rectifiedColumns: Int
  /// All that is joined before the factors.
  private let columns: Int
  private let factorColumns: Int
  private let isLinear: Bool
  /// Of `columns` floats.
  private let joined: RowBlock

  /// - Parameter pooling: For each slot, how several values become one vector.
  public init(shape: NetworkShape, pooling: [SlotSpec.Pooling], sides: FeatureSides) {
    precondition(pooling.count == shape.slots)
    self.shape = shape
    self.sides = sides
    let layout = DenseLayout(shape: shape)
    self.layout = layout
    let firstLayer = FirstLayer(shape, layout)
    first = RowSide.allCases.map { SideNetwork(shape, sides[$0], pooling: pooling, first: firstLayer) }
    let inputColumn = first[0].weights.paddedColumns
    columns = inputColumn + firstLayer.inputColumns
    rectifiedColumns = firstLayer.rectifiedColumns
    factorColumns = SideNetwork.padded(shape.factorizedWidth)
    partStride = columns + factorColumns + 8
    rowStride = SideNetwork.padded(shape.largestRowWidth)
    joined = RowBlock(stride: columns)
    switch shape.body {
    case .plain where shape.hidden.isEmpty: body = .linear
    case .plain: body = .tower(PackedTower(layout.towers[0].layers.dropFirst(), head: layout.towers[0].head))
    case .cross: body = .cross(PackedCross(layout, first: firstLayer, inputColumn: inputColumn))
    case .towers: body = .towers(PackedTowers(layout))
    case .mixture: body = .mixture(PackedMixture(layout, first: firstLayer))
    }
    isLinear = if case .linear = body { true } else { false }
  }

  /// Takes the dense tensors, packed for the kernels.
  /// - Parameter parameters: `DenseLayout.parameterCount` floats.
  public func load(_ parameters: UnsafePointer<Float>) {
    // Biases once for each row: with the request's part.
    for side in RowSide.allCases { first[side.rawValue].load(parameters, includesBiases: side == .request) }
    switch body {
    case .linear: break
    case .tower(let tower): tower.load(parameters)
    case .cross(let cross): cross.load(parameters)
    case .towers(let towers): towers.load(parameters)
    case .mixture(let mixture): mixture.load(parameters)
    }
  }

  /// Computes one side's parts of `count` rows.
  /// - Parameters:
  ///   - rows: The embeddings in the order of their occurrence, `rowStride` apart.
  ///   - starts: For each part `slots + 1` positions in `rows`: those of the side's slot `s` begin at the part's `starts[s]` and
  ///     end before its `starts[s + 1]`.
  ///   - dense: Row-major `count × dense features of this side`.
  ///   - parts: Where each part goes.
  public func computeParts(
    _ side: RowSide, count: Int, rows: UnsafePointer<Float>, starts: UnsafePointer<Int32>, dense: UnsafePointer<Float>,
    into parts: UnsafePointer<UnsafeMutablePointer<Float>>
  ) {
    first[side.rawValue].compute(
      count: count, rows: rows, rowStride: rowStride, starts: starts, dense: dense,
      factorColumns: factorColumns, into: parts)
  }

  /// Computes the probabilities of `count` rows' tasks.
  /// - Parameters:
  ///   - requests, items: Each row's parts.
  ///   - mixed: Each row's part of the mixed side, one after the other; nil if the side has no slots.
  ///   - output: Row-major `count × tasks`, in memory for the next multiple of 8.
  public func probabilities(
    count: Int, requests: UnsafePointer<UnsafePointer<Float>>, items: UnsafePointer<UnsafePointer<Float>>,
    mixed: UnsafePointer<Float>?, into output: UnsafeMutablePointer<Float>
  ) {
    var row = 0
    while row < count {
      let size = min(RowBlock.size, count &- row)
      for member in 0..<size {
        join(
          requests[row &+ member], items[row &+ member], mixed.map { $0 + (row &+ member) &* partStride },
          member, output + (row &+ member) &* shape.tasks)
      }
      finish(size, output + row &* shape.tasks)
      row &+= size
    }
    LogisticLoss.sigmoids(output, count: count &* shape.tasks)
  }

  /// Adds a row's parts: what the layers go on from, and in the outputs what leads past them.
  @inline(__always)
  private func join(
    _ request: UnsafePointer<Float>, _ item: UnsafePointer<Float>, _ mixed: UnsafePointer<Float>?, _ member: Int,
    _ output: UnsafeMutablePointer<Float>
  ) {
    let (request, item) = (UnsafeRawPointer(request), UnsafeRawPointer(item))
    let mixed = mixed.map { UnsafeRawPointer($0) }
    let row = joined.rows[member]
    let target = UnsafeMutableRawPointer(row)
    var byte = 0
    while byte < rectifiedColumns &* 4 {
      let sum = fi_positive8(Self.sum(request, item, mixed, byte))
      target.storeBytes(of: sum, toByteOffset: byte, as: SIMD8<Float>.self)
      byte &+= 32
    }
    while byte < columns &* 4 {
      target.storeBytes(of: Self.sum(request, item, mixed, byte), toByteOffset: byte, as: SIMD8<Float>.self)
      byte &+= 32
    }
    var interactions = SIMD8<Float>.zero
    let end = byte &+ factorColumns &* 4
    while byte < end {
      let sum = Self.sum(request, item, mixed, byte)
      interactions = fi_fma8(sum * 0.5, sum, interactions)
      byte &+= 32
    }
    let wide = fi_sum8(interactions) + Self.sum(request, item, mixed, end)[0]
    for task in 0..<shape.tasks { output[task] = isLinear ? wide + row[task] : wide }
  }

  @inline(__always)
  private static func sum(
    _ request: UnsafeRawPointer, _ item: UnsafeRawPointer, _ mixed: UnsafeRawPointer?, _ byte: Int
  ) -> SIMD8<Float> {
    let both =
      request.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
      + item.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
    guard let mixed else { return both }
    return both + mixed.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
  }

  /// Sends the block through the other layers and adds the logits to the outputs.
  @inline(__always)
  private func finish(_ size: Int, _ output: UnsafeMutablePointer<Float>) {
    let tasks = shape.tasks
    switch body {
    case .linear: break
    case .tower(let tower):
      tower.addLogits(joined.start, stride: columns, count: size, to: output, outputStride: tasks)
    case .cross(let cross):
      cross.addLogits(joined.start, stride: columns, count: size, to: output, outputStride: tasks)
    case .towers(let towers): towers.addLogits(joined.start, stride: columns, count: size, to: output)
    case .mixture(let mixture): mixture.addLogits(joined.start, stride: columns, count: size, to: output)
    }
  }
}
