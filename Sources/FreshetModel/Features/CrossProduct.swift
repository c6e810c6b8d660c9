import FreshetCore

/// The fids of a cross: one for each combination of its factors' values, the last factor's changing fastest. Used again for the
/// next cross, so that crosses do not allocate.
struct CrossProduct {
  private var values: [UnsafeBufferPointer<UInt8>] = []
  private var ends: [Int] = []
  private var prefixCount = 0

  /// Begins another cross.
  /// - Parameter slotPrefix: Bytes of the hash buffer that hold the slot's name and the zero byte.
  mutating func begin(slotPrefix: Int) {
    prefixCount = slotPrefix
    values.removeAll(keepingCapacity: true)
    ends.removeAll(keepingCapacity: true)
  }

  /// Adds a value of the current factor; it must outlive `write`.
  mutating func add(_ value: UnsafeBufferPointer<UInt8>) { values.append(value) }
  mutating func endFactor() { ends.append(values.count) }

  /// - Parameter maximumLength: The most combinations that count; nil if more than a slot can have are a mistake.
  /// - Returns: The number of fids: 0 if a factor has no value.
  borrowing func write(
    to fids: UnsafeMutablePointer<Fid>, buffer: UnsafeMutablePointer<UInt8>, slot: String, maximumLength: Int?
  ) throws(FeatureError) -> Int {
    let count = combinations(ofFactorsFrom: 0)
    guard count <= ModelSpec.Limits.fidsPerSlot || maximumLength != nil else {
      throw FeatureError(
        kind: .oversized, field: slot,
        message: "the cross `\(slot)` has more than \(ModelSpec.Limits.fidsPerSlot) combinations")
    }
    for combination in 0..<min(count, maximumLength ?? count) {
      var position = prefixCount
      var start = 0
      for (factor, end) in ends.enumerated() {
        let stride = combinations(ofFactorsFrom: factor + 1)
        let value = values[start + combination / stride % (end - start)]
        if factor > 0 {
          buffer[position] = 0x1f
          position += 1
        }
        if let source = value.baseAddress { (buffer + position).update(from: source, count: value.count) }
        position += value.count
        start = end
      }
      fids[combination] = Hashing.xxh3(UnsafeRawBufferPointer(start: buffer, count: position))
    }
    return min(count, maximumLength ?? count)
  }

  /// Far more than a slot can have stay as they are: the product cannot overflow.
  private borrowing func combinations(ofFactorsFrom first: Int) -> Int {
    var count = 1
    for factor in first..<ends.count {
      count = min(count * (ends[factor] - (factor > 0 ? ends[factor - 1] : 0)), 1 << 20)
    }
    return count
  }
}
