/// Memory for kernels, on cache lines: grows, never shrinks. Belongs to one thread.
public final class AlignedFloats {
  // Read in every loop, and changed by `reserve` alone: a check of each access would cost more than the access.
  @exclusivity(unchecked) public private(set) var start: UnsafeMutablePointer<Float>
  @exclusivity(unchecked) public private(set) var count: Int

  /// All are 0.
  public init(count: Int) {
    self.count = max(16, count)
    start = Self.allocate(self.count)
  }

  deinit { UnsafeMutableRawPointer(start).deallocate() }

  /// Makes room for `count` floats. All are 0 if it had to grow.
  public func reserve(_ count: Int) {
    guard count > self.count else { return }
    UnsafeMutableRawPointer(start).deallocate()
    self.count = max(count, self.count * 2)
    start = Self.allocate(self.count)
  }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: count * MemoryLayout<Float>.size, alignment: 64)
    let floats = raw.bindMemory(to: Float.self, capacity: count)
    floats.initialize(repeating: 0, count: count)
    return floats
  }
}
