import FreshetCore

/// The keys and values of the state on disk; `docs/joiner-state.md` is the specification.
enum StateRecord {
  static let format: UInt8 = 1

  // MARK: - Keys: integers are big-endian, so that bytes are in their order

  static func key(_ number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.bigEndian, Array.init) }

  static func closingKey(deadlineMs: Int64, offset: Int64) -> [UInt8] {
    key(UInt64(bitPattern: deadlineMs)) + key(UInt64(bitPattern: offset))
  }

  static func spanKey(_ topic: JoinerTopic, first: Int64) -> [UInt8] {
    [topic == .features ? UInt8(ascii: "f") : UInt8(ascii: "a")] + key(UInt64(bitPattern: first))
  }

  static let identityKey = Array("identity".utf8)
  static let positionKey = Array("position".utf8)

  static func number(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(JoinerStateError) -> Int64 {
    guard bytes.count >= position + 8 else { throw damaged("a key of \(bytes.count) bytes") }
    return Int64(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int64.self))
  }

  static func damaged(_ what: String) -> JoinerStateError {
    JoinerStateError(.damaged, "the state on disk holds \(what)")
  }

  /// Whether a joiner may have written it as an event time: sums with windows do not overflow.
  static func isTime(_ milliseconds: Int64) -> Bool { milliseconds.magnitude <= UInt64(InputRecordReader.maxTimeMs) }

  // MARK: - Waiting actions

  static func value(of action: WaitingAction, requestHash: UInt64) -> [UInt8] {
    var writer = BinaryWriter(capacity: 48 + (action.payload?.count ?? 0))
    writer.write(format)
    writer.write(UInt8(action.payload == nil ? 0 : 1))
    writer.write(UInt8(action.kind))
    writer.write(requestHash)
    writer.write(action.timeMs)
    writer.write(action.appendTimeMs)
    writer.write(action.value)
    if let payload = action.payload { payload.withUnsafeBytes { writer.write($0) } }
    return writer.bytes
  }

  static func action(
    key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
  ) throws(JoinerStateError) -> (action: WaitingAction, requestHash: UInt64) {
    let offset = try number(key, at: 0)
    do throws(MalformedBlob) {
      var reader = BinaryReader(value, what: "waiting action")
      guard try reader.read(UInt8.self) == format else { throw reader.malformed("not format \(format)") }
      let waits = try reader.read(UInt8.self)
      let kind = try reader.read(UInt8.self)
      guard waits <= 1, kind < 16 else { throw reader.malformed("kind \(kind), waits \(waits)") }
      let requestHash: UInt64 = try reader.read()
      let timeMs: Int64 = try reader.read()
      let appendTimeMs: Int64 = try reader.read()
      let number = try reader.readDouble()
      let payload = try reader.readBytes(reader.remaining)
      guard isTime(timeMs) else { throw reader.malformed("event time \(timeMs)") }
      guard waits == 1 || payload.isEmpty else { throw reader.malformed("a payload that is not waited for") }
      return (
        WaitingAction(
          offset: offset, timeMs: timeMs, appendTimeMs: appendTimeMs, kind: Int(kind), value: number,
          payload: waits == 1 ? Array(payload) : nil, isStored: true), requestHash
      )
    } catch { throw damaged("\(error)") }
  }

  // MARK: - Spans and closings

  static func value(ofSpan span: OffsetSpans.Span) -> [UInt8] {
    var writer = BinaryWriter(capacity: 16)
    writer.write(span.neededUntilMs)
    writer.write(Int64(span.count))
    return writer.bytes
  }

  static func span(
    key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
  ) throws(JoinerStateError) -> OffsetSpans.Span {
    guard value.count == 16 else { throw damaged("a span of \(value.count) bytes") }
    let count = Int64(littleEndian: value.loadUnaligned(fromByteOffset: 8, as: Int64.self))
    guard (1...Int64(OffsetSpans.recordsOfASpan)).contains(count) else { throw damaged("a span of \(count) records") }
    return OffsetSpans.Span(
      first: try number(key, at: 1),
      neededUntilMs: Int64(littleEndian: value.loadUnaligned(as: Int64.self)), count: Int(count), isStored: true,
      isChanged: false)
  }

  static func closing(
    key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
  ) throws(JoinerStateError) -> DeadlineHeap.Entry {
    guard value.count == 8 else { throw damaged("a closing of \(value.count) bytes") }
    return DeadlineHeap.Entry(
      deadlineMs: try number(key, at: 0), offset: try number(key, at: 8),
      reference: UInt64(littleEndian: value.loadUnaligned(as: UInt64.self)))
  }
}
