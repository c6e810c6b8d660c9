/// Memory for the few rows that pass through a layer together.
final class RowBlock {
  /// The most rows.
  static let size = 4

  let stride: Int
  private let floats: AlignedFloats
  /// Where the rows begin; never changed.
  let rows: UnsafeMutablePointer<UnsafeMutablePointer<Float>>

  /// All are 0.
  init(stride: Int) {
    self.stride = stride
    floats = AlignedFloats(count: Self.size * stride)
    rows = .allocate(capacity: Self.size)
    for row in 0..<Self.size { (rows + row).initialize(to: floats.start + row * stride) }
  }

  deinit { rows.deallocate() }

  var start: UnsafeMutablePointer<Float> { rows[0] }
}
