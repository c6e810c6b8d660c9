/// Scratch memory for kernels: grows, never shrinks, keeps nothing when it grows.
public final class FloatBuffer {
  public private(set) var start: UnsafeMutablePointer<Float>
  public private(set) var capacity: Int

  public init() {
    start = .allocate(capacity: 1)
    start.initialize(to: 0)
    capacity = 1
  }

  deinit { start.deallocate() }

  /// Makes room for `count` floats. What the buffer held is lost if it has to grow.
  public func reserve(_ count: Int) {
    guard count > capacity else { return }
    start.deallocate()
    start = .allocate(capacity: count)
    start.initialize(repeating: 0, count: count)
    capacity = count
  }
}
