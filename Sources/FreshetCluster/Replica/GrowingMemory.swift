/// A list for hot loops: appending is a store, and memory is kept when it is emptied.
final class GrowingMemory<Element: BitwiseCopyable> {
  // One thread's, and no call here is made while another is under way: a check of each access would cost more than the access.
  @exclusivity(unchecked) private(set) var start: UnsafeMutablePointer<Element>
  @exclusivity(unchecked) private(set) var count = 0
  @exclusivity(unchecked) private var capacity = 64

  init() { start = .allocate(capacity: capacity) }
  deinit { start.deallocate() }

  @inline(__always)
  func removeAll() { count = 0 }

  @inline(__always)
  func append(_ element: Element) {
    if _slowPath(count == capacity) { grow(to: count &+ 1) }
    start[count] = element
    count &+= 1
  }

  /// Adds elements whose values are undefined.
  /// - Returns: The first of them.
  @inline(__always)
  func extend(by addition: Int) -> UnsafeMutablePointer<Element> {
    if _slowPath(count &+ addition > capacity) { grow(to: count &+ addition) }
    let place = start + count
    count &+= addition
    return place
  }

  @inline(never)
  private func grow(to needed: Int) {
    let grown = UnsafeMutablePointer<Element>.allocate(capacity: max(needed, capacity * 2))
    grown.update(from: start, count: count)
    start.deallocate()
    start = grown
    capacity = max(needed, capacity * 2)
  }
}
