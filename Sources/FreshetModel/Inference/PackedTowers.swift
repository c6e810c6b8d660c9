/// What lies above a shared bottom's first layer: the rest of it, and each task's tower.
final class PackedTowers {
  private let shared: PackedStack
  private let towers: [PackedTower]

  init(_ layout: DenseLayout) {
    shared = PackedStack(layout.shared.dropFirst())
    towers = layout.towers.map { PackedTower($0.layers, head: $0.head) }
  }

  func load(_ parameters: UnsafePointer<Float>) {
    shared.load(parameters)
    for tower in towers { tower.load(parameters) }
  }

  /// Adds the logits of `count` joined rows, `RowBlock.size` at most, to the outputs, one for each task.
  func addLogits(
    _ joined: UnsafePointer<Float>, stride: Int, count: Int, to output: UnsafeMutablePointer<Float>
  ) {
    let (rows, rowStride) = shared.run(joined, stride: stride, count: count)
    for task in 0..<towers.count {
      towers[task].addLogits(
        rows, stride: rowStride, count: count, to: output + task, outputStride: towers.count)
    }
  }
}
