/// A first-in-first-out queue of plain values that keeps its memory.
final class RingQueue<Element: BitwiseCopyable> {
  private var memory: UnsafeMutablePointer<Element>
  private var mask: Int
  private var head = 0
  private(set) var count = 0

  init() {
    memory = .allocate(capacity: 64)
    mask = 63
  }

  deinit { memory.deallocate() }

  var isEmpty: Bool { count == 0 }

  /// - Precondition: Not empty.
  var first: Element {
    @inline(__always) get { memory[head & mask] }
    @inline(__always) set { memory[head & mask] = newValue }
  }

  /// - Precondition: Not empty.
  var last: Element {
    get { memory[(head + count - 1) & mask] }
    set { memory[(head + count - 1) & mask] = newValue }
  }

  /// By position from the first one.
  subscript(position: Int) -> Element {
    @inline(__always) get { memory[(head &+ position) & mask] }
    set { memory[(head &+ position) & mask] = newValue }
  }

  @inline(__always)
  func append(_ element: Element) {
    if count > mask { grow() }
    memory[(head &+ count) & mask] = element
    count &+= 1
  }

  /// - Precondition: Not empty.
  @inline(__always)
  @discardableResult
  func removeFirst() -> Element {
    let element = memory[head & mask]
    head = (head &+ 1) & mask
    count &-= 1
    return element
  }

  private func grow() {
    let capacity = (mask + 1) * 2
    let grown = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
    for index in 0..<count { (grown + index).initialize(to: memory[(head + index) & mask]) }
    memory.deallocate()
    memory = grown
    mask = capacity - 1
    head = 0
  }
}
