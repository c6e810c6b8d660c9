/// What is to happen and when; what is due at the same time happens in the order of its entry.
struct EventQueue {
  struct Event {
    let nanoseconds: UInt64
    let number: UInt64
    /// nil for what belongs to no process.
    let process: SimulatedProcess?
    let life: Int
    let body: () -> Void

    func precedes(_ other: Event) -> Bool {
      nanoseconds != other.nanoseconds ? nanoseconds < other.nanoseconds : number < other.number
    }
  }

  private var heap: [Event] = []
  private var entered: UInt64 = 0

  var isEmpty: Bool { heap.isEmpty }
  var count: Int { heap.count }

  mutating func add(at nanoseconds: UInt64, process: SimulatedProcess?, life: Int, _ body: @escaping () -> Void) {
    entered += 1
    heap.append(Event(nanoseconds: nanoseconds, number: entered, process: process, life: life, body: body))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].precedes(heap[parent]) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() -> Event {
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].precedes(heap[least]) {
        least = child
      }
      guard least != parent else { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
