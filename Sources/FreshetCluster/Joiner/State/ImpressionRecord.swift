import FreshetCore

/// An impression as it is stored: 13 fixed bytes, numbers of variable length, then its keys and its part of the example.
/// `docs/joiner-state.md` is the specification.
enum ImpressionRecord {
  private enum Position {
    static let format = 0
    static let seen = 1
    static let positives = 3
    /// Where the store's expiry looks.
    static let eventTime = 5
    static let numbers = 13
  }

  static let eventTimePosition = Position.eventTime

  /// Bytes that `encode` writes at most.
  static func maxByteCount(_ impression: Impression) -> Int {
    Position.numbers + 4 * 10 + impression.blockByteCount
  }

  /// - Returns: Bytes written.
  @inline(__always)
  static func encode(_ impression: Impression, into start: UnsafeMutableRawPointer) -> Int {
    start.storeBytes(of: StateRecord.format, toByteOffset: Position.format, as: UInt8.self)
    start.storeBytes(of: impression.seen.littleEndian, toByteOffset: Position.seen, as: UInt16.self)
    start.storeBytes(of: impression.timeMs.littleEndian, toByteOffset: Position.eventTime, as: Int64.self)
    start.storeBytes(of: impression.positives.littleEndian, toByteOffset: Position.positives, as: UInt16.self)
    var position = start + Position.numbers
    write(zigzag(impression.appendTimeMs &- impression.timeMs), &position)
    write(UInt64(bitPattern: impression.offset), &position)
    write(UInt64(impression.userKeyCount), &position)
    write(UInt64(impression.itemKeyCount), &position)
    let keyCount = Int(impression.userKeyCount) + Int(impression.itemKeyCount)
    position.copyMemory(from: impression.userKey.baseAddress!, byteCount: keyCount)
    position += keyCount
    position.copyMemory(from: impression.part, byteCount: Int(impression.partCount))
    return position + Int(impression.partCount) - start
  }

  /// - Parameter allocate: Gives room for so many bytes, aligned to 8.
  static func decode(
    _ record: UnsafeRawBufferPointer, requestHash: UInt64, _ allocate: (Int) -> BlockArena.Block
  ) throws(JoinerStateError) -> Impression {
    guard record.count >= Position.numbers, record[Position.format] == StateRecord.format else {
      throw StateRecord.damaged("an impression of \(record.count) bytes that is not of format \(StateRecord.format)")
    }
    let base = record.baseAddress!
    let timeMs = Int64(littleEndian: base.loadUnaligned(fromByteOffset: Position.eventTime, as: Int64.self))
    var position = Position.numbers
    let appendTimeMs = timeMs &+ unzigzag(try read(record, &position))
    let offset = Int64(bitPattern: try read(record, &position))
    let userKeyCount = try read(record, &position)
    let itemKeyCount = try read(record, &position)
    guard StateRecord.isTime(timeMs) else { throw StateRecord.damaged("an impression of the event time \(timeMs)") }
    guard userKeyCount <= UInt16.max, itemKeyCount <= UInt16.max, offset >= 0 else {
      throw StateRecord.damaged(
        "an impression with keys of \(userKeyCount) and \(itemKeyCount) bytes, offset \(offset)")
    }
    let keyCount = Int(userKeyCount) + Int(itemKeyCount)
    let partCount = record.count - position - keyCount
    guard partCount >= 0, partCount <= Int(Int32.max) else {
      throw StateRecord.damaged("an impression that ends in the middle")
    }
    let block = allocate(partCount + keyCount)
    let keys = base + position
    block.start.copyMemory(from: keys + keyCount, byteCount: partCount)
    (block.start + partCount).copyMemory(from: keys, byteCount: keyCount)
    return Impression(
      requestHash: requestHash,
      itemHash: Hashing.xxh3(UnsafeRawBufferPointer(start: keys + Int(userKeyCount), count: Int(itemKeyCount))),
      timeMs: timeMs, appendTimeMs: appendTimeMs, offset: offset, block: block.start, chunk: block.chunk,
      partCount: Int32(partCount), userKeyCount: UInt16(userKeyCount), itemKeyCount: UInt16(itemKeyCount),
      seen: UInt16(littleEndian: base.loadUnaligned(fromByteOffset: Position.seen, as: UInt16.self)),
      positives: UInt16(littleEndian: base.loadUnaligned(fromByteOffset: Position.positives, as: UInt16.self)))
  }

  // MARK: - Numbers: seven bits a byte, lowest first, the high bit set on all but the last

  private static func zigzag(_ number: Int64) -> UInt64 { UInt64(bitPattern: (number << 1) ^ (number >> 63)) }
  private static func unzigzag(_ number: UInt64) -> Int64 {
    Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
  }

  @inline(__always)
  private static func write(_ number: UInt64, _ position: inout UnsafeMutableRawPointer) {
    var rest = number
    while rest >= 0x80 {
      position.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
      position += 1
      rest >>= 7
    }
    position.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
    position += 1
  }

  @inline(__always)
  private static func read(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) throws(JoinerStateError) -> UInt64 {
    var number: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.count, shift < 64 {
      let byte = bytes[position]
      position += 1
      number |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return number }
      shift += 7
    }
    throw StateRecord.damaged("a number that does not end")
  }
}
