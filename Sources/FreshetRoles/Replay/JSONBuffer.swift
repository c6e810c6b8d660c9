/// Memory that JSON is written into by hand, reused from record to record.
struct JSONBuffer: ~Copyable {
  private var memory: UnsafeMutablePointer<UInt8>
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = max(64, capacity)
    memory = .allocate(capacity: self.capacity)
  }

  deinit { memory.deallocate() }

  /// What has been written. Valid until the next write.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

  mutating func removeAll() { count = 0 }

  @inline(__always)
  private mutating func reserve(_ more: Int) {
    if count + more > capacity { grow(count + more) }
  }

  @inline(never)
  private mutating func grow(_ wanted: Int) {
    capacity = max(wanted, capacity * 2)
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    larger.update(from: memory, count: count)
    memory.deallocate()
    memory = larger
  }

  @inline(__always)
  mutating func append(_ text: StaticString) {
    reserve(text.utf8CodeUnitCount)
    (memory + count).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
    count += text.utf8CodeUnitCount
  }

  @inline(__always)
  mutating func append(byte: UInt8) {
    reserve(1)
    memory[count] = byte
    count += 1
  }

  @inline(__always)
  mutating func append(raw: UnsafeRawBufferPointer) {
    guard let base = raw.baseAddress else { return }
    reserve(raw.count)
    UnsafeMutableRawPointer(memory + count).copyMemory(from: base, byteCount: raw.count)
    count += raw.count
  }

  @inline(__always)
  mutating func append(integer: Int64) {
    reserve(20)
    var rest = integer.magnitude
    if integer < 0 {
      memory[count] = UInt8(ascii: "-")
      count += 1
    }
    var digits = 1
    var limit: UInt64 = 10
    while digits < 19 && rest >= limit {
      digits += 1
      limit &*= 10
    }
    var position = count + digits
    count = position
    repeat {
      position -= 1
      memory[position] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    } while rest > 0
  }

  /// A number in thousandths without needless zeros: 3500 is `3.5`, 4000 is `4`.
  @inline(__always)
  mutating func append(thousandths: Int32) {
    let magnitude = Int64(thousandths.magnitude)
    if thousandths < 0 { append(byte: UInt8(ascii: "-")) }
    append(integer: magnitude / 1000)
    var fraction = magnitude % 1000
    guard fraction > 0 else { return }
    append(byte: UInt8(ascii: "."))
    var unit: Int64 = 100
    while fraction > 0 {
      append(byte: 0x30 &+ UInt8(truncatingIfNeeded: fraction / unit))
      fraction %= unit
      unit /= 10
    }
  }

  /// Sixteen lower-case digits.
  @inline(__always)
  mutating func append(hex: UInt64) {
    reserve(16)
    var rest = hex
    var position = count + 16
    count = position
    for _ in 0..<16 {
      position -= 1
      let digit = UInt8(truncatingIfNeeded: rest & 15)
      memory[position] = digit < 10 ? 0x30 &+ digit : 0x57 &+ digit
      rest >>= 4
    }
  }

  /// The text in quotes, with everything escaped that JSON (RFC 8259) wants escaped.
  mutating func append(quoted text: String) {
    append(byte: UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): append("\\\"")
      case UInt8(ascii: "\\"): append("\\\\")
      case 0x0a: append("\\n")
      case 0x0d: append("\\r")
      case 0x09: append("\\t")
      case 0x00..<0x20:
        append("\\u00")
        append(byte: 0x30 &+ (byte >> 4))
        append(byte: byte & 15 < 10 ? 0x30 &+ (byte & 15) : 0x57 &+ (byte & 15))
      default: append(byte: byte)
      }
    }
    append(byte: UInt8(ascii: "\""))
  }

  /// The bytes in quotes as base64 (RFC 4648, padded).
  mutating func append(quotedBase64 raw: UnsafeRawBufferPointer) {
    let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    append(byte: UInt8(ascii: "\""))
    var index = 0
    while index < raw.count {
      let left = raw.count - index
      var group = UInt32(raw[index]) << 16
      if left > 1 { group |= UInt32(raw[index + 1]) << 8 }
      if left > 2 { group |= UInt32(raw[index + 2]) }
      for digit in 0..<4 {
        let value = Int((group >> UInt32(18 - 6 * digit)) & 63)
        append(byte: digit <= left ? alphabet.utf8Start[value] : UInt8(ascii: "="))
      }
      index += 3
    }
    append(byte: UInt8(ascii: "\""))
  }
}
