import Foundation
import FreshetCore

/// Ranks `0 ..< count` with probability proportional to `1 / (rank + 1)^exponent`, by rejection-inversion (Hörmann and
/// Derflinger, 1996): constant time and memory for any number of ranks.
struct ZipfSampler {
  private let count: Double
  private let exponent: Double
  private let integralAtStart: Double
  private let integralAtEnd: Double
  private let acceptance: Double

  /// - Parameter exponent: Above 0 and not 1.
  init(count: Int, exponent: Double) {
    precondition(count > 0 && exponent > 0 && exponent != 1)
    self.count = Double(count)
    self.exponent = exponent
    integralAtStart = Self.integral(1.5, exponent) - 1
    integralAtEnd = Self.integral(Double(count) + 0.5, exponent)
    acceptance = 2 - Self.inverse(Self.integral(2.5, exponent) - pow(2, -exponent), exponent)
  }

  func next(using generator: inout SeededGenerator) -> Int {
    while true {
      let u = integralAtEnd + generator.nextUnit() * (integralAtStart - integralAtEnd)
      let x = Self.inverse(u, exponent)
      let rank = min(max(x.rounded(), 1), count)
      if rank - x <= acceptance || u >= Self.integral(rank + 0.5, exponent) - pow(rank, -exponent) {
        return Int(rank) - 1
      }
    }
  }

  /// Of `x^-exponent`.
  private static func integral(_ x: Double, _ exponent: Double) -> Double {
    (pow(x, 1 - exponent) - 1) / (1 - exponent)
  }

  private static func inverse(_ y: Double, _ exponent: Double) -> Double {
    pow(1 + y * (1 - exponent), 1 / (1 - exponent))
  }
}
