/// Which offsets of a topic are still needed, in spans of up to 256 records.
struct OffsetSpans {
  struct Span: BitwiseCopyable {
    var first: Int64
    var neededUntilMs: Int64
    var count: Int
    var isStored = false
    var isChanged = true
  }

  static let recordsOfASpan = 256
  private let spans = RingQueue<Span>()
  /// First offsets of spans that are on disk and over.
  private var dropped: [Int64] = []
  private(set) var recordCount = 0

  /// - Parameter neededUntilMs: The last stream time at which the record still matters.
  mutating func add(_ offset: Int64, neededUntilMs: Int64) {
    recordCount += 1
    if !spans.isEmpty, spans.last.count < Self.recordsOfASpan {
      spans.last.count += 1
      spans.last.neededUntilMs = max(spans.last.neededUntilMs, neededUntilMs)
      spans.last.isChanged = true
    } else {
      spans.append(Span(first: offset, neededUntilMs: neededUntilMs, count: 1))
    }
  }

  mutating func drop(streamTimeMs: Int64) {
    while !spans.isEmpty, spans.first.neededUntilMs < streamTimeMs {
      let span = spans.removeFirst()
      recordCount -= span.count
      if span.isStored { dropped.append(span.first) }
    }
  }

  /// The first offset that is needed; nil if none is.
  var low: Int64? { spans.isEmpty ? nil : spans.first.first }

  // MARK: - On disk

  /// Takes up a span that is on disk; in the order of offsets.
  mutating func load(_ span: Span) {
    recordCount += span.count
    spans.append(span)
  }

  /// Adds what changed to a batch.
  mutating func write(_ topic: JoinerTopic, to batch: JoinerStateBatch) {
    for first in dropped { batch.remove(.about, key: StateRecord.spanKey(topic, first: first)) }
    dropped.removeAll(keepingCapacity: true)
    // Only the last ones change.
    var index = spans.count - 1
    while index >= 0, spans[index].isChanged {
      batch.put(
        .about, key: StateRecord.spanKey(topic, first: spans[index].first),
        value: StateRecord.value(ofSpan: spans[index]))
      spans[index].isChanged = false
      spans[index].isStored = true
      index -= 1
    }
  }
}
