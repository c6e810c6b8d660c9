import FreshetCore

extension ExampleCodec {
  /// Proves that every part of the record lies within it.
  /// - Returns: The number of its fids.
  static func check(_ record: UnsafeRawBufferPointer, _ layout: ExampleLayout) throws(ExampleError) -> Int {
    guard record.count > Position.flags, let base = record.baseAddress else {
      throw .malformed("\(record.count) bytes are too few", at: record.count)
    }
    let version = base.load(as: UInt8.self)
    guard version == Self.version else {
      throw ExampleError(
        kind: .unknownVersion,
        message: "example record of version \(version), this program reads version \(Self.version): upgrade it")
    }
    let flags = base.load(fromByteOffset: Position.flags, as: UInt8.self)
    guard ExampleOrigin(rawValue: flags) != nil else { throw .malformed("unknown flags \(flags)", at: Position.flags) }
    guard record.count >= headerByteCount else {
      throw .malformed("\(record.count) bytes, the header alone has \(headerByteCount)", at: record.count)
    }
    let fingerprint = UInt32(littleEndian: base.loadUnaligned(fromByteOffset: Position.fingerprint, as: UInt32.self))
    guard fingerprint == layout.fingerprint else {
      throw ExampleError(
        kind: .schemaMismatch,
        message: "the joiner made this example from schema \(hex(fingerprint)), this process runs schema "
          + "\(hex(layout.fingerprint)): give both the same model file")
    }
    guard record.count >= layout.fixedByteCount else {
      throw .malformed("\(record.count) bytes, at least \(layout.fixedByteCount) expected", at: record.count)
    }
    let counts = Position.labels + 4 * layout.taskCount
    var fidCount = 0
    for slot in 0..<layout.slotCount { fidCount &+= Int(base.load(fromByteOffset: counts &+ slot, as: UInt8.self)) }
    let expected = byteCount(layout, fidCount: fidCount)
    guard record.count == expected else {
      throw .malformed("\(record.count) bytes, \(expected) expected with \(fidCount) fids", at: record.count)
    }
    try checkNumbers(base, layout, end: expected)
    return fidCount
  }

  private static func checkNumbers(
    _ base: UnsafeRawPointer, _ layout: ExampleLayout, end: Int
  ) throws(ExampleError) {
    let weight = base.loadFloat(at: Position.weight)
    guard weight.isFinite, weight > 0 else { throw .malformed("weight \(weight)", at: Position.weight) }
    let rate = base.loadFloat(at: Position.negativeRate)
    guard rate >= 0, rate <= 1 else { throw .malformed("negative rate \(rate)", at: Position.negativeRate) }
    for task in 0..<layout.taskCount {
      let position = Position.labels &+ 4 &* task
      let label = base.loadFloat(at: position)
      guard label.isFinite || label.isNaN else { throw .malformed("label \(label)", at: position) }
    }
    for index in 0..<layout.denseCount {
      let position = end &- 4 &* (layout.denseCount &- index)
      let value = base.loadFloat(at: position)
      guard value.isFinite else { throw .malformed("dense feature \(value)", at: position) }
    }
  }

  private static func hex(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }
}

extension UnsafeRawPointer {
  /// A little-endian float at any alignment.
  @inline(__always)
  func loadFloat(at position: Int) -> Float {
    Float(bitPattern: UInt32(littleEndian: loadUnaligned(fromByteOffset: position, as: UInt32.self)))
  }
}
