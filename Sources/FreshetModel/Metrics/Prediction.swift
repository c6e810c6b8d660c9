import FreshetCore

/// A prediction made before training on its example, and the label that came: 16 bits, as a push carries it.
///
/// Bits 0–11 hold the bucket of the logit, 1/128 wide over −16 ..< 16 (the ends take what lies outside); bit 12 the label.
public struct Prediction: Sendable, Equatable {
  public static let bucketCount = 4096
  public let bits: UInt16

  public init(logit: Float, isPositive: Bool) {
    // A NaN compares false with everything; it lands in bucket 0 and its loss, which is not finite, tells.
    let scaled = (logit + 16) * 128
    let bucket = scaled >= 0 ? UInt16(min(scaled, 4095)) : 0
    bits = bucket | (isPositive ? 1 << 12 : 0)
  }

  /// nil if bits that have no meaning are set.
  public init?(bits: UInt16) {
    guard bits < 1 << 13 else { return nil }
    self.bits = bits
  }

  public var bucket: Int { Int(bits & 0xfff) }
  public var isPositive: Bool { bits & 1 << 12 != 0 }
}
