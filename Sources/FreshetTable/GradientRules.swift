/// What happens to a row's gradient before the optimizer sees it, and to its weights afterwards.
public struct GradientRules: Sendable, Hashable {
  /// Each element is held within `−clipValue ... clipValue`; nil for no bound.
  public var clipValue: Float?
  /// A row's gradient that is longer than this (Euclidean norm) is scaled down to it (Pascanu, Mikolov and Bengio, 2013);
  /// nil for no bound. Comes after `clipValue`.
  public var clipNorm: Float?
  /// Adds `l2 × w` to the gradient, which is that of the penalty `l2/2 × ‖w‖²`. After clipping.
  public var l2: Float
  /// After the step each weight moves towards 0 by `rate × l1` and stops there: forward-backward splitting of the penalty
  /// `l1 × ‖w‖₁` (Duchi and Singer, 2009).
  public var l1: Float

  public static let none = GradientRules(clipValue: nil, clipNorm: nil, l1: 0, l2: 0)

  public init(clipValue: Float?, clipNorm: Float?, l1: Float, l2: Float) {
    self.clipValue = clipValue
    self.clipNorm = clipNorm
    self.l1 = l1
    self.l2 = l2
  }

  /// Whether gradients have to be rewritten.
  var changesGradient: Bool { clipValue != nil || clipNorm != nil || l2 != 0 }

  /// Writes the gradient that the optimizer is to see.
  /// - Parameters:
  ///   - weights: Of the row as they are, 32 bits wide.
  ///   - output: Room for `width` floats; may be `weights`.
  func rewrite(
    _ gradient: UnsafePointer<Float>, weights: UnsafePointer<Float>, width: Int,
    into output: UnsafeMutablePointer<Float>
  ) {
    let bound = clipValue ?? .infinity
    var squares: Float = 0
    for column in 0..<width {
      let clipped = max(-bound, min(bound, gradient[column]))
      squares += clipped * clipped
    }
    // A square that overflows makes the norm infinite and the scale 0: the gradient is dropped, not made NaN.
    let norm = squares.squareRoot()
    let scale = if let clipNorm, norm > clipNorm { clipNorm / norm } else { Float(1) }
    for column in 0..<width {
      let clipped = max(-bound, min(bound, gradient[column]))
      output[column] = scale * clipped + l2 * weights[column]
    }
  }
}
