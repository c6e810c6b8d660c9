import CIntrinsics

extension LogisticLoss {
  /// Replaces logits by `1 / (1 + e^−x)`, eight at a time; each lane's result depends on its own value alone.
  ///
  /// e^x as Cody and Waite have it: x is cut into a multiple of ln 2, which becomes the exponent, and a rest within ± ln 2 / 2,
  /// for which six terms of the series suffice to about one unit in the last place. 0 gives 0.5 exactly, NaN gives NaN.
  /// - Parameter values: `count` floats, in memory for the next multiple of 8.
  static func sigmoids(_ values: UnsafeMutablePointer<Float>, count: Int) {
    let raw = UnsafeMutableRawPointer(values)
    var position = 0
    while position < count {
      let address = raw + position &* 4
      let logits = address.loadUnaligned(as: SIMD8<Float>.self)
      address.storeBytes(of: 1 / (1 + exponential(-logits)), as: SIMD8<Float>.self)
      position &+= 8
    }
  }

  @inline(__always)
  private static func exponential(_ value: SIMD8<Float>) -> SIMD8<Float> {
    var x = value
    x = x.replacing(with: SIMD8(repeating: 88), where: x .> 88)
    x = x.replacing(with: SIMD8(repeating: -87), where: x .< -87)
    // Added and taken away again, it rounds to an integer, which stands in the low bits meanwhile.
    let magic = SIMD8<Float>(repeating: 0x1.8p23)
    let shifted = fi_fma8(x, SIMD8(repeating: 1.442_695_04), magic)
    let exponent = shifted - magic
    var rest = fi_fma8(exponent, SIMD8(repeating: -0.693_359_375), x)
    rest = fi_fma8(exponent, SIMD8(repeating: 2.121_944_4e-4), rest)
    var sum = SIMD8<Float>(repeating: 1 / 720)
    sum = fi_fma8(sum, rest, SIMD8(repeating: 1 / 120))
    sum = fi_fma8(sum, rest, SIMD8(repeating: 1 / 24))
    sum = fi_fma8(sum, rest, SIMD8(repeating: 1 / 6))
    sum = fi_fma8(sum, rest, SIMD8(repeating: 0.5))
    sum = fi_fma8(sum, rest, SIMD8(repeating: 1))
    sum = fi_fma8(sum, rest, SIMD8(repeating: 1))
    let bits = unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &- unsafeBitCast(magic, to: SIMD8<UInt32>.self)
    let power = unsafeBitCast((bits &+ 127) &<< 23, to: SIMD8<Float>.self)
    return sum * power
  }
}
