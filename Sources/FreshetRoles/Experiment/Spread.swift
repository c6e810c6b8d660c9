/// Mean and deviation of what several seeds gave.
struct Spread: Equatable {
  let mean: Double
  /// Of a sample: with one less than their number. nil for one value.
  let deviation: Double?

  /// - Precondition: There are values.
  init(_ values: [Double]) {
    precondition(!values.isEmpty)
    let mean = values.reduce(0, +) / Double(values.count)
    self.mean = mean
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    deviation = values.count > 1 ? (squares / Double(values.count - 1)).squareRoot() : nil
  }

  /// As `0.7900 ± 0.0004`.
  func text(decimals: Int, signed: Bool = false) -> String {
    let sign = signed && mean >= 0 ? "+" : ""
    let mean = sign + fixed(self.mean, decimals: decimals)
    return deviation.map { "\(mean) ± \(fixed($0, decimals: decimals))" } ?? mean
  }
}

/// A number with a fixed count of decimals; "nan" is "–".
func fixed(_ value: Double, decimals: Int) -> String {
  guard value.isFinite else { return "–" }
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  let scaled = Int((value.magnitude * scale).rounded())
  let digits = String(scaled)
  let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  let sign = value < 0 && scaled != 0 ? "-" : ""
  return decimals == 0 ? sign + padded : "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
}
