import FreshetTable

extension WeightFormat {
  /// The nearest value of the format, ties to even; of binary16 the highest beyond its range.
  public func nearest(_ value: Float) -> Float {
    switch self {
    case .float32: value
    case .float16: Float(Float16(max(-65_504, min(65_504, value))))
    case .bfloat16:
      Float(bitPattern: (value.bitPattern &+ 0x7fff &+ (value.bitPattern >> 16 & 1)) & 0xffff_0000)
    }
  }

  /// The values of a 16-bit format between which a value lies: twice the same for one that the format has.
  public func neighbours(_ value: Double) -> ClosedRange<Float> {
    switch self {
    case .float32: return Float(value)...Float(value)
    case .float16:
      let near = Float16(max(-65_504, min(65_504, value)))
      if Double(near) == value || abs(value) > 65_504 { return Float(near)...Float(near) }
      return Double(near) < value ? Float(near)...Float(near.nextUp) : Float(near.nextDown)...Float(near)
    case .bfloat16:
      // Downwards in magnitude, and the next one beyond.
      var towardsZero = Float(value)
      if abs(Double(towardsZero)) > abs(value) { towardsZero = value > 0 ? towardsZero.nextDown : towardsZero.nextUp }
      let inner = Float(bitPattern: towardsZero.bitPattern & 0xffff_0000)
      if Double(inner) == value { return inner...inner }
      let outer = Float(bitPattern: (inner.bitPattern & 0x7fff_0000 &+ 0x1_0000) | (value < 0 ? 0x8000_0000 : 0))
      return min(inner, outer)...max(inner, outer)
    }
  }
}
