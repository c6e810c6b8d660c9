import FreshetCore

/// Writes example records, and says where each part of one lies. `docs/example-format.md` is the format's specification.
public enum ExampleCodec {
  public static let version: UInt8 = 1
  public static let headerByteCount = 46

  enum Position {
    static let version = 0
    static let flags = 1
    static let fingerprint = 2
    static let requestHash = 6
    static let eventTime = 14
    static let actionTime = 22
    static let ingestTime = 30
    static let weight = 38
    static let negativeRate = 42
    static let labels = 46
  }

  /// Bytes that `encode` writes for a row of so many fids.
  @inlinable
  public static func byteCount(_ layout: ExampleLayout, fidCount: Int) -> Int { layout.fixedByteCount + 8 * fidCount }

  /// Writes one record at the start of `destination`.
  /// - Parameters:
  ///   - labels: One for each task; NaN where the example says nothing about the task.
  ///   - slotCounts: Fids of each slot, in slot order.
  ///   - fids: Those of all slots, one slot after the other.
  ///   - destination: At least `byteCount(layout, fidCount: fids.count)` bytes.
  /// - Returns: The bytes written.
  @discardableResult
  public static func encode(
    _ header: ExampleHeader, labels: UnsafeBufferPointer<Float>, slotCounts: UnsafeBufferPointer<UInt8>,
    fids: UnsafeBufferPointer<Fid>, dense: UnsafeBufferPointer<Float>, layout: ExampleLayout,
    into destination: UnsafeMutableRawBufferPointer
  ) -> Int {
    let byteCount = byteCount(layout, fidCount: fids.count)
    precondition(labels.count == layout.taskCount && slotCounts.count == layout.slotCount)
    precondition(dense.count == layout.denseCount && destination.count >= byteCount)
    let base = destination.baseAddress!
    base.storeBytes(of: version, toByteOffset: Position.version, as: UInt8.self)
    base.storeBytes(of: header.origin.rawValue, toByteOffset: Position.flags, as: UInt8.self)
    base.storeBytes(of: layout.fingerprint.littleEndian, toByteOffset: Position.fingerprint, as: UInt32.self)
    base.storeBytes(of: header.requestHash.littleEndian, toByteOffset: Position.requestHash, as: UInt64.self)
    base.storeBytes(of: header.eventTimeMs.littleEndian, toByteOffset: Position.eventTime, as: Int64.self)
    base.storeBytes(of: header.actionTimeMs.littleEndian, toByteOffset: Position.actionTime, as: Int64.self)
    base.storeBytes(of: header.ingestTimeMs.littleEndian, toByteOffset: Position.ingestTime, as: Int64.self)
    base.storeBytes(of: header.weight.bitPattern.littleEndian, toByteOffset: Position.weight, as: UInt32.self)
    base.storeBytes(
      of: header.negativeRate.bitPattern.littleEndian, toByteOffset: Position.negativeRate, as: UInt32.self)
    var position = Position.labels
    position = append(UnsafeRawBufferPointer(labels), to: base, at: position)
    position = append(UnsafeRawBufferPointer(slotCounts), to: base, at: position)
    position = append(UnsafeRawBufferPointer(fids), to: base, at: position)
    position = append(UnsafeRawBufferPointer(dense), to: base, at: position)
    assert(position == byteCount)
    return byteCount
  }

  private static func append(_ bytes: UnsafeRawBufferPointer, to base: UnsafeMutableRawPointer, at position: Int) -> Int
  {
    if let source = bytes.baseAddress { (base + position).copyMemory(from: source, byteCount: bytes.count) }
    return position + bytes.count
  }

  /// Encodes one record as an array, where speed does not matter.
  public static func encode(
    _ header: ExampleHeader, labels: [Float], slots: [[Fid]], dense: [Float], layout: ExampleLayout
  ) -> [UInt8] {
    let fids = slots.flatMap(\.self)
    let counts = slots.map { UInt8($0.count) }
    return [UInt8](unsafeUninitializedCapacity: byteCount(layout, fidCount: fids.count)) { buffer, count in
      count = labels.withUnsafeBufferPointer { labels in
        counts.withUnsafeBufferPointer { counts in
          fids.withUnsafeBufferPointer { fids in
            dense.withUnsafeBufferPointer { dense in
              encode(
                header, labels: labels, slotCounts: counts, fids: fids, dense: dense, layout: layout,
                into: UnsafeMutableRawBufferPointer(buffer))
            }
          }
        }
      }
    }
  }
}
