/// What a network computes on: the rows that a batch touches, and which example and slot uses which of them.
///
/// All pointers are borrowed for the duration of a call.
public struct NetworkInput {
  public let count: Int
  /// Rows one behind the other, each as wide as its slot's factors and one more.
  public let rows: UnsafePointer<Float>
  /// Where in `rows` each occurrence's row begins, in floats; grouped by example and slot.
  public let occurrences: UnsafePointer<Int32>
  /// For each occurrence, where in the rows' gradients its gradient is added, in floats. The same numbers as `occurrences`, unless
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
