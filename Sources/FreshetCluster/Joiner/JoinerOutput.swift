import FreshetCore
import FreshetModel

/// What the shell has to do after `JoinerPartition.run`. Reused: `removeAll` keeps the memory.
public final class JoinerOutput {
  /// One record for `examples`: where its key (the user id's text) and its value lie.
  public struct Example: Sendable, Equatable {
    let start: Int
    let keyCount: Int
    let valueCount: Int
  }

  public private(set) var examples: [Example] = []
  public internal(set) var deadLetters: [DeadLetter] = []
  /// Topics to stop (`paused`) or to go on reading, in order.
  public internal(set) var flow: [(topic: JoinerTopic, paused: Bool)] = []
  /// The catalog must be read to the current end of the `items` topic, then `itemsRefreshed` called.
  public internal(set) var needsItems = false

  /// Ask the broker where this topic ends; if all of it has been fed, call `confirmedEnd`.
  public internal(set) var needsEnd: JoinerTopic?

  private var memory: UnsafeMutableRawPointer
  private var capacity = 1 << 16
  public private(set) var byteCount = 0

  public init() { memory = .allocate(byteCount: capacity, alignment: 8) }
  deinit { memory.deallocate() }

  public var isEmpty: Bool { examples.isEmpty && deadLetters.isEmpty && flow.isEmpty && !needsItems && needsEnd == nil }

  public func removeAll() {
    examples.removeAll(keepingCapacity: true)
    deadLetters.removeAll(keepingCapacity: true)
    flow.removeAll(keepingCapacity: true)
    needsItems = false
    needsEnd = nil
    byteCount = 0
  }

  /// The Kafka key; valid until the output changes.
  public func key(_ example: Example) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory + example.start, count: example.keyCount)
  }

  /// The example record; valid until the output changes.
  public func value(_ example: Example) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory + example.start + example.keyCount, count: example.valueCount)
  }

  /// Appends a key and room for a value.
  /// - Returns: The room; valid until the output changes.
  func append(key: UnsafeRawBufferPointer, valueCount: Int) -> UnsafeMutableRawBufferPointer {
    let needed = byteCount + key.count + valueCount
    if needed > capacity { grow(needed) }
    let start = memory + byteCount
    if let source = key.baseAddress { start.copyMemory(from: source, byteCount: key.count) }
    examples.append(Example(start: byteCount, keyCount: key.count, valueCount: valueCount))
    byteCount = needed
    return UnsafeMutableRawBufferPointer(start: start + key.count, count: valueCount)
  }

  private func grow(_ needed: Int) {
    let grown = UnsafeMutableRawPointer.allocate(byteCount: needed * 2, alignment: 8)
    grown.copyMemory(from: memory, byteCount: byteCount)
    memory.deallocate()
    memory = grown
    capacity = needed * 2
  }
}
