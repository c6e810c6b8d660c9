import CIntrinsics

/// How a table keeps its weights. Optimizer state is always 32 bits wide, and so are the weights that are computed with.
public enum WeightFormat: String, Sendable, CaseIterable {
  case float32 = "fp32"
  /// IEEE binary16: 11 bits of precision, up to 65,504.
  case float16 = "fp16"
  /// The upper half of a 32-bit float: 8 bits of precision, the same range.
  case bfloat16 = "bf16"

  public var byteCount: Int { self == .float32 ? 4 : 2 }
}

/// A format's loads and stores, eight weights at a time.
protocol WeightStorage {
  static var byteCount: Int { get }
  static func load(_ source: UnsafeRawPointer) -> SIMD8<Float>
  /// To the nearest value of the format.
  static func store(_ value: SIMD8<Float>, _ target: UnsafeMutableRawPointer)
  /// Up or down at random in proportion to the distance, so that steps smaller than the format's precision add up.
  /// - Parameter noise: 16 random bits in each lane.
  static func store(_ value: SIMD8<Float>, noise: SIMD8<UInt32>, _ target: UnsafeMutableRawPointer)
}

enum Float32Storage: WeightStorage {
  @inline(__always) static var byteCount: Int { 4 }
  @inline(__always) static func load(_ source: UnsafeRawPointer) -> SIMD8<Float> {
    fi_load_float8(source)
  }
  @inline(__always) static func store(_ value: SIMD8<Float>, _ target: UnsafeMutableRawPointer) {
    fi_store_float8(value, target)
  }
  @inline(__always)
  static func store(_ value: SIMD8<Float>, noise: SIMD8<UInt32>, _ target: UnsafeMutableRawPointer) {
    fi_store_float8(value, target)
  }
}

enum Float16Storage: WeightStorage {
  /// What lies beyond the format's range stops at its end instead of becoming infinite.
  @inline(__always) private static var highest: SIMD8<Float> { SIMD8(repeating: 65_504) }
  @inline(__always) private static var lowest: SIMD8<Float> { SIMD8(repeating: -65_504) }

  @inline(__always) static var byteCount: Int { 2 }
  @inline(__always) static func load(_ source: UnsafeRawPointer) -> SIMD8<Float> { fi_load_half8(source) }
  @inline(__always) static func store(_ value: SIMD8<Float>, _ target: UnsafeMutableRawPointer) {
    fi_store_half8(value.clamped(lowerBound: lowest, upperBound: highest), target)
  }
  @inline(__always)
  static func store(_ value: SIMD8<Float>, noise: SIMD8<UInt32>, _ target: UnsafeMutableRawPointer) {
    fi_store_half8_dithered(value.clamped(lowerBound: lowest, upperBound: highest), noise, target)
  }
}

enum BFloat16Storage: WeightStorage {
  @inline(__always) static var byteCount: Int { 2 }
  @inline(__always) static func load(_ source: UnsafeRawPointer) -> SIMD8<Float> { fi_load_brain8(source) }
  @inline(__always) static func store(_ value: SIMD8<Float>, _ target: UnsafeMutableRawPointer) {
    fi_store_brain8(value, target)
  }
  @inline(__always)
  static func store(_ value: SIMD8<Float>, noise: SIMD8<UInt32>, _ target: UnsafeMutableRawPointer) {
    fi_store_brain8_dithered(value, noise, target)
  }
}

extension WeightStorage {
  /// The first `count` of eight weights, the others 0.
  @inline(__always)
  static func load(first count: Int, _ source: UnsafeRawPointer) -> SIMD8<Float> {
    if byteCount == 4 { return loadFirst(count, source) }
    var bytes = SIMD8<UInt16>.zero
    return withUnsafeMutableBytes(of: &bytes) { buffer in
      buffer.baseAddress.unsafelyUnwrapped.copyMemory(from: source, byteCount: count &* byteCount)
      return load(buffer.baseAddress.unsafelyUnwrapped)
    }
  }

  /// Stores the first `count` of eight weights.
  @inline(__always)
  static func store(first count: Int, _ value: SIMD8<Float>, noise: SIMD8<UInt32>, _ target: UnsafeMutableRawPointer) {
    if byteCount == 4 { return storeFirst(count, value, target) }
    var bytes = SIMD8<UInt16>.zero
    withUnsafeMutableBytes(of: &bytes) { buffer in
      store(value, noise: noise, buffer.baseAddress.unsafelyUnwrapped)
      target.copyMemory(from: buffer.baseAddress.unsafelyUnwrapped, byteCount: count &* byteCount)
    }
  }

  /// Stores the first `count` of eight weights, each as the nearest value of the format.
  @inline(__always)
  static func store(first count: Int, _ value: SIMD8<Float>, _ target: UnsafeMutableRawPointer) {
    if byteCount == 4 { return storeFirst(count, value, target) }
    var bytes = SIMD8<UInt16>.zero
    withUnsafeMutableBytes(of: &bytes) { buffer in
      store(value, buffer.baseAddress.unsafelyUnwrapped)
      target.copyMemory(from: buffer.baseAddress.unsafelyUnwrapped, byteCount: count &* byteCount)
    }
  }
}

/// The first `count` of eight floats, the others 0.
@inline(__always)
func loadFirst(_ count: Int, _ source: UnsafeRawPointer) -> SIMD8<Float> {
  fi_load_first8(source.assumingMemoryBound(to: Float.self), Int32(truncatingIfNeeded: count))
}

/// Stores the first `count` of eight floats.
@inline(__always)
func storeFirst(_ count: Int, _ value: SIMD8<Float>, _ target: UnsafeMutableRawPointer) {
  fi_store_first8(value, target.assumingMemoryBound(to: Float.self), Int32(truncatingIfNeeded: count))
}

/// Whether none of the values is a NaN or an infinity.
@inline(__always)
func areFinite(_ values: UnsafePointer<Float>, _ count: Int) -> Bool {
  // x × 0 is 0 for every finite x and NaN for the others. Two sums, so that neither waits for the other.
  var first = SIMD8<Float>.zero
  var second = SIMD8<Float>.zero
  let zero = SIMD8<Float>.zero
  var column = 0
  while column &+ 16 <= count {
    first = fi_fma8(fi_load_float8(values + column), zero, first)
    second = fi_fma8(fi_load_float8(values + (column &+ 8)), zero, second)
    column &+= 16
  }
  if column &+ 8 <= count {
    first = fi_fma8(fi_load_float8(values + column), zero, first)
    column &+= 8
  }
  if column < count { second = fi_fma8(loadFirst(count &- column, values + column), zero, second) }
  return all(first + second .== 0)
}
