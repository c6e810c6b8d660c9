/// The canonical values of one record's fields, and room to turn them into fids. Belongs to one thread; reused for each
/// record, so that extraction does not allocate.
public final class FeatureScratch {
  struct Value {
    var start: Int32
    var count: Int32
    var number: Double
  }

  struct Field {
    var first: Int32 = 0
    var count: Int32 = 0
  }

  let fieldCount: Int
  let fields: UnsafeMutablePointer<Field>
  private(set) var bytes: UnsafeMutablePointer<UInt8>
  private var byteCapacity = 4096
  private(set) var byteCount = 0
  private(set) var values: UnsafeMutablePointer<Value>
  private var valueCapacity = 256
  private(set) var valueCount = 0

  /// Where a slot's name and a value meet to be hashed.
  let hashBuffer: UnsafeMutablePointer<UInt8>

  /// The members with the keys of `JoinRecord`, as the last JSON object had them.
  public internal(set) var requestID: JSONValue?
  public internal(set) var eventTime: JSONValue?

  /// Where the parts are written.
  let requestPart = PartBuffer()
  let itemPart = PartBuffer()
  let mixedPart = PartBuffer()
  var cross = CrossProduct()

  init(fieldCount: Int) {
    self.fieldCount = fieldCount
    fields = .allocate(capacity: fieldCount)
    fields.initialize(repeating: Field(), count: fieldCount)
    bytes = .allocate(capacity: byteCapacity)
    values = .allocate(capacity: valueCapacity)
    typealias Limits = ModelSpec.Limits
    hashBuffer = .allocate(
      capacity: Limits.nameBytes + 1 + Limits.fieldsPerCross * (Limits.valueBytes + 1))
  }

  deinit {
    fields.deallocate()
    bytes.deallocate()
    values.deallocate()
    hashBuffer.deallocate()
  }

  /// Forgets all values.
  public func reset() {
    for field in 0..<fieldCount { fields[field].count = 0 }
    byteCount = 0
    valueCount = 0
    requestID = nil
    eventTime = nil
  }

  /// Forgets one field's value: a later key of the same name takes the place of an earlier one.
  @inline(__always)
  func begin(_ field: Int) { fields[field] = Field(first: Int32(truncatingIfNeeded: valueCount), count: 0) }

  /// Lets values be added to those that a field has.
  func extend(_ field: Int) {
    let earlier = fields[field]
    begin(field)
    // A field's values lie side by side.
    for index in 0..<Int(earlier.count) {
      if valueCount == valueCapacity { growValues() }
      values[valueCount] = values[Int(earlier.first) + index]
      valueCount += 1
      fields[field].count += 1
    }
  }

  /// Room for so many bytes of the next value.
  @inline(__always)
  func reserve(_ count: Int) -> UnsafeMutablePointer<UInt8> {
    if byteCapacity - byteCount < count { growBytes(count) }
    return bytes + byteCount
  }

  /// Adds a value of which `count` bytes were written where `reserve` said.
  @inline(__always)
  func add(_ field: Int, count: Int, number: Double) {
    if valueCount == valueCapacity { growValues() }
    values[valueCount] = Value(
      start: Int32(truncatingIfNeeded: byteCount), count: Int32(truncatingIfNeeded: count), number: number)
    valueCount &+= 1
    byteCount &+= count
    fields[field].count &+= 1
  }

  @inline(__always)
  func text(_ value: Value) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: bytes + Int(value.start), count: Int(value.count))
  }

  private func growBytes(_ count: Int) {
    let capacity = max(byteCapacity * 2, byteCount + count)
    let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    grown.update(from: bytes, count: byteCount)
    bytes.deallocate()
    bytes = grown
    byteCapacity = capacity
  }

  private func growValues() {
    let grown = UnsafeMutablePointer<Value>.allocate(capacity: valueCapacity * 2)
    grown.update(from: values, count: valueCount)
    values.deallocate()
    values = grown
    valueCapacity *= 2
  }
}

/// A reusable, growing piece of memory aligned to 8 bytes, in which a part is written.
final class PartBuffer {
  private(set) var memory: UnsafeMutableRawPointer
  private(set) var capacity = 4096

  init() { memory = .allocate(byteCount: capacity, alignment: 8) }
  deinit { memory.deallocate() }

  /// Makes room for `byteCount` bytes; what was written before is kept.
  func reserve(_ byteCount: Int) {
    guard byteCount > capacity else { return }
    let grown = UnsafeMutableRawPointer.allocate(byteCount: byteCount * 2, alignment: 8)
    grown.copyMemory(from: memory, byteCount: capacity)
    memory.deallocate()
    memory = grown
    capacity = byteCount * 2
  }
}
