/// The best `limit` of many scored items, in a heap whose root is the worst of them.
struct TopItems<Item> {
  struct Entry {
    let score: Double
    let item: Item
  }

  private let limit: Int
  /// Whether the first item's id comes before the second's: ties of scores go by id.
  private let precedes: (Item, Item) -> Bool
  private var heap: [Entry] = []

  init(limit: Int, precedes: @escaping (Item, Item) -> Bool) {
    precondition(limit > 0)
    self.limit = limit
    self.precedes = precedes
  }

  /// Entries with a lower score are not among the best.
  var worst: Float { heap.count < limit ? -.infinity : Float(heap[0].score) }

  mutating func insert(_ entry: Entry) {
    if heap.count < limit {
      heap.append(entry)
      siftUp(heap.count - 1)
    } else if isBetter(entry, heap[0]) {
      heap[0] = entry
      siftDown()
    }
  }

  /// Best first.
  var sorted: [Entry] { heap.sorted(by: isBetter) }

  private func isBetter(_ a: Entry, _ b: Entry) -> Bool {
    a.score == b.score ? precedes(a.item, b.item) : a.score > b.score
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard isBetter(heap[parent], heap[child]) else { return }
      heap.swapAt(parent, child)
      child = parent
    }
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      var worst = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBetter(heap[worst], heap[child]) {
        worst = child
      }
      guard worst != parent else { return }
      heap.swapAt(parent, worst)
      parent = worst
    }
  }
}
