/// Weights on their way between tables: packed in a format, without the padding of rows.
extension WeightFormat {
  /// Writes each weight as the nearest value of the format, eight at a time. What lies beyond the range of fp16 stops at its end.
  /// - Parameter output: Room for `weights.count × byteCount` bytes; need not be aligned.
  public func encode(_ weights: UnsafeBufferPointer<Float>, into output: UnsafeMutableRawPointer) {
    switch self {
    case .float32: Self.encode(weights, into: output, Float32Storage.self)
    case .float16: Self.encode(weights, into: output, Float16Storage.self)
    case .bfloat16: Self.encode(weights, into: output, BFloat16Storage.self)
    }
  }

  /// Reads weights that `encode` wrote.
  /// - Parameters:
  ///   - bytes: `count × byteCount` of them; need not be aligned.
  ///   - output: Room for `count` weights.
  public func decode(_ bytes: UnsafeRawPointer, count: Int, into output: UnsafeMutablePointer<Float>) {
    switch self {
    case .float32: Self.decode(bytes, count, into: output, Float32Storage.self)
    case .float16: Self.decode(bytes, count, into: output, Float16Storage.self)
    case .bfloat16: Self.decode(bytes, count, into: output, BFloat16Storage.self)
    }
  }

  /// Replaces each weight by the nearest value of the format.
  public func round(_ weights: UnsafeMutableBufferPointer<Float>) {
    guard self != .float32, let start = weights.baseAddress else { return }
    withUnsafeTemporaryAllocation(byteCount: weights.count * byteCount, alignment: 16) { bytes in
      encode(UnsafeBufferPointer(weights), into: bytes.baseAddress!)
      decode(bytes.baseAddress!, count: weights.count, into: start)
    }
  }

  @inline(__always)
  private static func encode<Storage: WeightStorage>(
    _ weights: UnsafeBufferPointer<Float>, into output: UnsafeMutableRawPointer, _ storage: Storage.Type
  ) {
    guard let start = weights.baseAddress else { return }
    let source = UnsafeRawPointer(start)
    let count = weights.count
    var position = 0
    while position &+ 8 <= count {
      Storage.store(Float32Storage.load(source + position &* 4), output + position &* Storage.byteCount)
      position &+= 8
    }
    guard position < count else { return }
    Storage.store(
      first: count &- position, loadFirst(count &- position, source + position &* 4),
      output + position &* Storage.byteCount)
  }

  @inline(__always)
  private static func decode<Storage: WeightStorage>(
    _ bytes: UnsafeRawPointer, _ count: Int, into output: UnsafeMutablePointer<Float>, _ storage: Storage.Type
  ) {
    let target = UnsafeMutableRawPointer(output)
    var position = 0
    while position &+ 8 <= count {
      Float32Storage.store(Storage.load(bytes + position &* Storage.byteCount), target + position &* 4)
      position &+= 8
    }
    guard position < count else { return }
    storeFirst(
      count &- position, Storage.load(first: count &- position, bytes + position &* Storage.byteCount),
      target + position &* 4)
  }
}
