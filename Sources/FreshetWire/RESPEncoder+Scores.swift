import NIOCore

extension RESPEncoder {
  /// Appends scores as doubles: what `writeDouble` appends for each, in digits that read back as the same double.
  ///
  /// Writes into the outbound buffer at once, without a `String` for each.
  /// - Parameters:
  ///   - scores: `count` floats, `stride` apart.
  public mutating func writeScores(_ scores: UnsafePointer<Float>, stride: Int, count: Int) {
    var first = 0
    while first < count {
      let end = min(first + 256, count)
      buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: (end - first) * ScoreText.longestLine) { bytes in
        let start = bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
        var written = 0
        for number in first..<end {
          written &+= ScoreText.writeLine(scores[number &* stride], version, to: start + written)
        }
        return written
      }
      first = end
    }
  }
}

/// Scores in decimal.
enum ScoreText {
  /// Bytes that the longest line of `writeLine` needs.
  static let longestLine = 64

  /// 10^17 … 10^29: as many decimal places as a score of so many leading zeros needs for 17 digits.
  private static let powers: [UInt128] = {
    var power: UInt128 = 100_000_000_000_000_000
    var powers: [UInt128] = []
    for _ in 0...12 {
      powers.append(power)
      power *= 10
    }
    return powers
  }()

  /// Writes a score with its framing, `$6\r\n0.8125\r\n` or `,0.8125\r\n`.
  /// - Returns: The bytes written.
  @inline(__always)
  static func writeLine(_ score: Float, _ version: RESPVersion, to target: UnsafeMutablePointer<UInt8>) -> Int {
    var position = 1
    // A length of two digits is the rule; one digit is made room for afterwards.
    if version == .v3 { target[0] = UInt8(ascii: ",") } else { position = 5 }
    let count = write(score, to: target + position)
    if version == .v2 {
      target[0] = UInt8(ascii: "$")
      if count >= 10 {
        target[1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: count / 10)
        target[2] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: count % 10)
        target[3] = RESPText.carriageReturn
        target[4] = RESPText.lineFeed
      } else {
        target[1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: count)
        target[2] = RESPText.carriageReturn
        target[3] = RESPText.lineFeed
        (target + 4).update(from: target + 5, count: count)
        position = 4
      }
    }
    target[position &+ count] = RESPText.carriageReturn
    target[position &+ count &+ 1] = RESPText.lineFeed
    return position &+ count &+ 2
  }

  /// Writes a float's exact value, as the double that it is: at most 17 significant digits, without zeros at the end.
  ///
  /// 17 correctly rounded digits tell any two doubles apart. Between 2^−40 and 1 they come from one product of 128 bits; other
  /// values take the way of `RESPText.double`.
  /// - Parameter target: Room for 40 bytes.
  /// - Returns: The bytes written.
  static func write(_ score: Float, to target: UnsafeMutablePointer<UInt8>) -> Int {
    guard score >= 0x1p-40, score < 1 else { return writeSlowly(score, to: target) }
    let exponent = Int(score.exponentBitPattern) &- 127
    let significand = UInt64(score.significandBitPattern | 1 << 23)
    // score = significand / 2^shift
    let shift = UInt128(truncatingIfNeeded: 23 &- exponent)
    return powers.withUnsafeBufferPointer { powers in
      var zeros = 0
      while zeros < 12, score < decimals[zeros] { zeros &+= 1 }
      var digits = scaled(significand, powers[zeros], shift)
      if digits < 10_000_000_000_000_000 {
        // The float beside a power of ten may lie below it.
        zeros &+= 1
        digits = scaled(significand, powers[zeros], shift)
      }
      return place(digits, zeros, target)
    }
  }

  private static let decimals: [Float] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12]

  @inline(__always)
  private static func scaled(_ significand: UInt64, _ power: UInt128, _ shift: UInt128) -> UInt64 {
    let product = UInt128(significand) &* power
    return UInt64(truncatingIfNeeded: (product &+ (1 &<< (shift &- 1))) &>> shift)
  }

  /// Writes `0.`, zeros, and 17 digits without the zeros at their end.
  @inline(__always)
  private static func place(_ digits: UInt64, _ zeros: Int, _ target: UnsafeMutablePointer<UInt8>) -> Int {
    target[0] = UInt8(ascii: "0")
    target[1] = UInt8(ascii: ".")
    for zero in 0..<zeros { target[2 &+ zero] = UInt8(ascii: "0") }
    let start = target + (2 &+ zeros)
    // Two halves, whose divisions need not wait for each other.
    var high = UInt32(truncatingIfNeeded: digits / 100_000_000)
    var low = UInt32(truncatingIfNeeded: digits % 100_000_000)
    var position = 8
    while position > 0 {
      start[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: high % 10)
      start[position &+ 8] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: low % 10)
      high /= 10
      low /= 10
      position &-= 1
    }
    start[0] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: high)
    var end = 17
    while start[end &- 1] == UInt8(ascii: "0") { end &-= 1 }
    return 2 &+ zeros &+ end
  }

  private static func writeSlowly(_ score: Float, to target: UnsafeMutablePointer<UInt8>) -> Int {
    var text = RESPText.double(Double(score))
    return text.withUTF8 { utf8 in
      target.update(from: utf8.baseAddress.unsafelyUnwrapped, count: utf8.count)
      return utf8.count
    }
  }
}
