/// What a network computes on: the rows that a batch touches, and which example and slot uses which of them.
///
/// All pointers are borrowed for the duration of a call.
public struct NetworkInput {
  public let count: Int
  /// Row-major `rowCount × (factors + 1)`.
  public let rows: UnsafePointer<Float>
  /// Row numbers, grouped by example and slot.
  public let occurrences: UnsafePointer<Int32>
  /// For each occurrence, the row of the gradients that its gradient is added to. The same numbers as `occurrences`, unless
  /// gradients of a row are to be kept apart by micro-batch.
  public let gradientRows: UnsafePointer<Int32>
  /// `count × slots + 1` positions in `occurrences`: those of example `e`, slot `s` begin at `starts[e × slots + s]`.
  public let starts: UnsafePointer<Int32>
  /// Row-major `count × denseFeatures`.
  public let denseFeatures: UnsafePointer<Float>

  /// - Parameter gradientRows: nil for the numbers of `occurrences`.
  public init(
    count: Int, rows: UnsafePointer<Float>, occurrences: UnsafePointer<Int32>,
    gradientRows: UnsafePointer<Int32>? = nil, starts: UnsafePointer<Int32>, denseFeatures: UnsafePointer<Float>
  ) {
    self.count = count
    self.rows = rows
    self.occurrences = occurrences
    self.gradientRows = gradientRows ?? occurrences
    self.starts = starts
    self.denseFeatures = denseFeatures
  }
}
