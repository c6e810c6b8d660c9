/// What is to happen at a time, earliest first; equal times in the order of their offsets.
struct DeadlineHeap {
  struct Entry {
    let deadlineMs: Int64
    let offset: Int64
    /// What the entry is about, as its user defines it.
    let reference: UInt64

    fileprivate func precedes(_ other: Entry) -> Bool {
      deadlineMs != other.deadlineMs ? deadlineMs < other.deadlineMs : offset < other.offset
    }
  }

  private var entries: [Entry] = []

  var count: Int { entries.count }
  var first: Entry? { entries.first }

  mutating func insert(_ entry: Entry) {
    entries.append(entry)
    var index = entries.count - 1
    while index > 0 {
      let parent = (index - 1) / 2
      guard entry.precedes(entries[parent]) else { break }
      entries[index] = entries[parent]
      index = parent
    }
    entries[index] = entry
  }

  /// - Precondition: Not empty.
  mutating func removeFirst() {
    let last = entries.removeLast()
    guard !entries.isEmpty else { return }
    var index = 0
    while true {
      var child = 2 * index + 1
      guard child < entries.count else { break }
      if child + 1 < entries.count, entries[child + 1].precedes(entries[child]) { child += 1 }
      guard entries[child].precedes(last) else { break }
      entries[index] = entries[child]
      index = child
    }
    entries[index] = last
  }

  /// Takes out all that `isOver` holds of; it is asked about the earliest first.
  mutating func removeAll(where isOver: (Entry) -> Bool) {
    // What is sorted is a heap.
    entries.sort { $0.precedes($1) }
    entries.removeAll(where: isOver)
  }

  /// Keeps the first entries only, and all of the last one's time.
  /// - Parameter count: At least 1; no more than there are.
  /// - Returns: The time of the first that is gone; `Int64.max` if none is.
  mutating func keepFirst(_ count: Int) -> Int64 {
    entries.sort { $0.precedes($1) }
    var end = count
    while end < entries.count, entries[end].deadlineMs == entries[end - 1].deadlineMs { end += 1 }
    let next = end < entries.count ? entries[end].deadlineMs : Int64.max
    entries.removeSubrange(end...)
    return next
  }
}
