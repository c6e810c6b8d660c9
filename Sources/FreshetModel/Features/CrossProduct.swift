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

  /// - Returns: The number of fids: 0 if a factor has no value.
  borrowing func write(
    to fids: UnsafeMutablePointer<Fid>, buffer: UnsafeMutablePointer<UInt8>, slot: String
  ) throws(FeatureError) -> Int {
    var count = 1
    var start = 0
    for end in ends {
      count *= end - start
      start = end
      guard count <= ModelSpec.Limits.fidsPerSlot else {
        throw FeatureError(
          kind: .oversized, field: slot,
          message: "the cross `\(slot)` has more than \(ModelSpec.Limits.fidsPerSlot) combinations")
      }
    }
    for combination in 0..<count {
      var position = prefixCount
      var stride = count
      var start = 0
      for (factor, end) in ends.enumerated() {
        stride /= end - start
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
    return count
  }
}
