import CIntrinsics

/// What lies above the first layers of MMoE's experts and its gates: the experts' other layers, the mixtures and the towers.
final class PackedMixture {
  private let experts: [PackedStack]
  /// Where each expert's first layer, and the gates' logits, lie in a joined row.
  private let expertColumns: [Int]
  private let gateColumn: Int
  private let towers: [PackedTower]
  private let mixture: RowBlock
  /// The shares of one row's experts, for each task.
  private let shares: AlignedFloats
  /// Of the rows of each expert's output; the second is how far they are apart.
  private let outputs: UnsafeMutablePointer<(UnsafePointer<Float>, Int)>

  /// - Parameter first: Its blocks are the experts' and then the gates'.
  init(_ layout: DenseLayout, first: FirstLayer) {
    experts = layout.experts.map { PackedStack($0.dropFirst()) }
    expertColumns = first.blocks.dropLast().map(\.column)
    gateColumn = first.blocks[first.blocks.count - 1].column
    towers = layout.towers.map { PackedTower($0.layers, head: $0.head) }
    mixture = RowBlock(stride: PackedMatrix.padded(layout.experts[0].last!.weights.columns))
    shares = AlignedFloats(count: RowBlock.size * towers.count * experts.count)
    outputs = .allocate(capacity: experts.count)
    outputs.initialize(repeating: (UnsafePointer(shares.start), 0), count: experts.count)
  }

  deinit { outputs.deallocate() }

  func load(_ parameters: UnsafePointer<Float>) {
    for expert in experts { expert.load(parameters) }
    for tower in towers { tower.load(parameters) }
  }

  /// Adds the logits of `count` joined rows, `RowBlock.size` at most, to the outputs, one for each task.
  func addLogits(
    _ joined: UnsafePointer<Float>, stride: Int, count: Int, to output: UnsafeMutablePointer<Float>
  ) {
    let columns = towers.count &* experts.count
    for number in 0..<experts.count {
      outputs[number] = experts[number].run(joined + expertColumns[number], stride: stride, count: count)
    }
    for member in 0..<count {
      let shares = shares.start + member &* columns
      shares.update(from: joined + (member &* stride &+ gateColumn), count: columns)
      for task in 0..<towers.count { ExpertMixture.softmax(shares + task &* experts.count, experts.count) }
    }
    for task in 0..<towers.count {
      for member in 0..<count { mix(member, shares.start + (member &* columns &+ task &* experts.count)) }
      towers[task].addLogits(
        mixture.start, stride: mixture.stride, count: count, to: output + task, outputStride: towers.count)
    }
  }

  /// One row's mixture for a task.
  @inline(__always)
  private func mix(_ member: Int, _ shares: UnsafePointer<Float>) {
    let target = UnsafeMutableRawPointer(mixture.rows[member])
    var byte = 0
    while byte < mixture.stride &* 4 {
      var sum = SIMD8<Float>.zero
      for number in 0..<experts.count {
        let (rows, stride) = outputs[number]
        let row = UnsafeRawPointer(rows + member &* stride)
        sum = fi_fma8(
          row.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self), SIMD8(repeating: shares[number]), sum)
      }
      target.storeBytes(of: sum, toByteOffset: byte, as: SIMD8<Float>.self)
      byte &+= 32
    }
  }
}
