/// Stable sorting of many integer keys in linear time.
enum RadixSort {
  private static let digitBits: UInt64 = 11

  /// The indices of `keys` in ascending order of key; equal keys keep their order.
  ///
  /// Least significant digit first, 11 bits a pass; passes above the highest bit of the largest difference are left
  /// out, so event times of a few years cost four passes.
  /// - Complexity: O(n); twice `n × 12` bytes of memory.
  /// - Precondition: Fewer than 2^32 keys.
  static func ascendingIndices(of keys: [UInt64]) -> [UInt32] {
    let count = keys.count
    precondition(count <= Int(UInt32.max))
    var indices = (0..<UInt32(count)).map { $0 }
    guard let smallest = keys.min(), let largest = keys.max(), largest > smallest else { return indices }
    let significantBits = UInt64(64 - (largest - smallest).leadingZeroBitCount)
    var from = keys.map { $0 - smallest }
    var to = [UInt64](repeating: 0, count: count)
    var target = [UInt32](repeating: 0, count: count)
    var shift: UInt64 = 0
    while shift < significantBits {
      pass(shift, from, indices, &to, &target)
      swap(&from, &to)
      swap(&indices, &target)
      shift += digitBits
    }
    return indices
  }

  private static func pass(
    _ shift: UInt64, _ from: [UInt64], _ indices: [UInt32], _ to: inout [UInt64], _ target: inout [UInt32]
  ) {
    let mask = (UInt64(1) << digitBits) - 1
    var next = [Int](repeating: 0, count: 1 << Int(digitBits))
    for key in from { next[Int((key >> shift) & mask)] += 1 }
    var sum = 0
    for digit in next.indices {
      let size = next[digit]
      next[digit] = sum
      sum += size
    }
    for position in from.indices {
      let digit = Int((from[position] >> shift) & mask)
      to[next[digit]] = from[position]
      target[next[digit]] = indices[position]
      next[digit] += 1
    }
  }
}
