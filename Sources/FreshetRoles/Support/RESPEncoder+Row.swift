import FreshetWire

extension RESPEncoder {
  /// A row as `ROW` answers it: whether it exists (1 or 0), then its weights.
  mutating func write(row: (weights: [Float], exists: Bool)) {
    writeArrayHeader(count: row.weights.count + 1)
    writeInteger(row.exists ? 1 : 0)
    for weight in row.weights { writeDouble(Double(weight)) }
  }
}
