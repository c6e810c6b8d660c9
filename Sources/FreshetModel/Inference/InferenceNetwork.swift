import CIntrinsics

/// Computes scores of a `NetworkShape`, a row in three parts.
///
/// The first layer is linear in its input, and so are the sums over slots of the linear part and of the factorization machine.
/// So a row's first layer is the sum of what its request, its item and their crosses contribute, each computed by itself: a
/// request's part once for all its candidates, an item's once for all requests. The order of summation of each part, and of
/// the parts, is fixed: a row's scores are the same to the bit, whichever rows are computed with it.
///
/// A part is `partStride` floats: the first layer's columns before the activation, the sums over slots of the factors, and one
/// number: the linear weights less half the squares of the factors. Not thread-safe.
public final class InferenceNetwork {
  /// Rows that pass through the layers together.
  private static let block = 4

  public let shape: NetworkShape
  public let sides: FeatureSides
  /// Floats of a part.
  public let partStride: Int
  /// Floats from one row of `addPart`'s rows to the next: a row's weights with what fills them up to vectors.
  public let rowStride: Int
  let layout: DenseLayout
  /// By `RowSide`.
  private let first: [SideNetwork]
  private let hidden: [PackedMatrix]
  private let columns: Int
  private let factorColumns: Int
  /// `tasks` rows of `headStride` floats.
  private let heads: AlignedFloats
  private let headStride: Int
  private let headBiases: AlignedFloats
  /// For each layer `block` rows of activations.
  private let activations: [AlignedFloats]
  /// Where they begin, `block` for each layer; never changed.
  private let activationRows: UnsafeMutablePointer<UnsafeMutablePointer<Float>>

  /// - Parameter poolsByMean: For each slot, whether several values are averaged rather than summed.
  public init(shape: NetworkShape, poolsByMean: [Bool], sides: FeatureSides) {
    precondition(poolsByMean.count == shape.slots)
    self.shape = shape
    self.sides = sides
    layout = DenseLayout(shape: shape)
    let firstColumns = shape.hidden.first ?? shape.tasks
    first = RowSide.allCases.map { SideNetwork(shape, sides[$0], poolsByMean: poolsByMean, columns: firstColumns) }
    columns = first[0].weights.paddedColumns
    factorColumns = shape.hasFactorizationMachine ? first[0].paddedFactors : 0
    partStride = columns + factorColumns + 8
    rowStride = (shape.rowWidth + 7) & ~7
    hidden = zip(shape.hidden, shape.hidden.dropFirst()).map { PackedMatrix(rows: $0, columns: $1) }
    let widths = [columns] + hidden.map(\.paddedColumns)
    headStride = shape.hidden.isEmpty ? 0 : widths[widths.count - 1]
    heads = AlignedFloats(count: shape.tasks * headStride)
    headBiases = AlignedFloats(count: shape.tasks)
    activations = widths.map { AlignedFloats(count: Self.block * $0) }
    activationRows = .allocate(capacity: widths.count * Self.block)
    for (layer, width) in widths.enumerated() {
      for row in 0..<Self.block {
        (activationRows + layer * Self.block + row).initialize(to: activations[layer].start + row * width)
      }
    }
  }

  deinit { activationRows.deallocate() }

  /// Takes the dense tensors, packed for the kernels.
  /// - Parameter parameters: `DenseLayout.parameterCount` floats.
  public func load(_ parameters: UnsafePointer<Float>) {
    let firstWeights = layout.tensors[0]
    let vectorRows = shape.hidden.isEmpty ? 0 : shape.slots * shape.factors
    for side in first {
      side.load(parameters + firstWeights.offset, columns: firstWeights.columns, denseRow: vectorRows)
    }
    // Once for each row: with the request's part.
    first[RowSide.request.rawValue].weights.setBiases(parameters + layout.tensors[1].offset)
    for (number, matrix) in hidden.enumerated() {
      let weights = layout.tensors[2 * number + 2]
      for row in 0..<weights.rows { matrix.setRow(row, parameters + weights.offset + row * weights.columns) }
      matrix.setBiases(parameters + layout.tensors[2 * number + 3].offset)
    }
    guard !shape.hidden.isEmpty else { return }
    let weights = layout.tensors[layout.tensors.count - 2]
    let biases = parameters + layout.tensors[layout.tensors.count - 1].offset
    for task in 0..<shape.tasks {
      for row in 0..<weights.rows {
        heads.start[task * headStride + row] = parameters[weights.offset + row * shape.tasks + task]
      }
      headBiases.start[task] = biases[task]
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
      count: count, rows: rows, rowStride: rowStride, starts: starts, dense: dense, sumsOffset: columns,
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
      let size = min(Self.block, count &- row)
      for member in 0..<size {
        join(
          requests[row &+ member], items[row &+ member], mixed.map { $0 + (row &+ member) &* partStride },
          member, output + (row &+ member) &* shape.tasks)
      }
      if !shape.hidden.isEmpty { finish(size, output + row &* shape.tasks) }
      row &+= size
    }
    LogisticLoss.sigmoids(output, count: count &* shape.tasks)
  }

  /// Adds a row's parts: its first layer's activations, and in the outputs the parts that lead past the layers.
  @inline(__always)
  private func join(
    _ request: UnsafePointer<Float>, _ item: UnsafePointer<Float>, _ mixed: UnsafePointer<Float>?, _ member: Int,
    _ output: UnsafeMutablePointer<Float>
  ) {
    let (request, item) = (UnsafeRawPointer(request), UnsafeRawPointer(item))
    let mixed = mixed.map { UnsafeRawPointer($0) }
    let activation = UnsafeMutableRawPointer(activationRows[member])
    let isRectified = !shape.hidden.isEmpty
    var byte = 0
    while byte < columns &* 4 {
      let sum = Self.sum(request, item, mixed, byte)
      activation.storeBytes(of: isRectified ? fi_positive8(sum) : sum, toByteOffset: byte, as: SIMD8<Float>.self)
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
    for task in 0..<shape.tasks {
      let direct = isRectified ? headBiases.start[task] : activationRows[member][task]
      output[task] = wide + direct
    }
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

  /// Sends the block through the hidden layers and adds the heads to the outputs.
  @inline(__always)
  private func finish(_ size: Int, _ output: UnsafeMutablePointer<Float>) {
    var stride = columns
    for layer in 0..<hidden.count {
      let targets = activationRows + (layer &+ 1) &* Self.block
      hidden[layer].multiply(
        activationRows[layer &* Self.block], stride: stride, count: size, isRectified: true, into: targets)
      stride = hidden[layer].paddedColumns
    }
    let top = UnsafeRawPointer(activationRows[hidden.count &* Self.block])
    for member in 0..<size {
      for task in 0..<shape.tasks {
        let head = UnsafeRawPointer(heads.start + task &* headStride)
        let row = top + member &* headStride &* 4
        var sum = SIMD8<Float>.zero
        var byte = 0
        while byte < headStride &* 4 {
          sum = fi_fma8(
            row.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self),
            head.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self), sum)
          byte &+= 32
        }
        output[member &* shape.tasks &+ task] += fi_sum8(sum)
      }
    }
  }
}
