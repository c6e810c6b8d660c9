#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A point on the monotonic clock, in nanoseconds. State machines are given it; only shells read the clock.
public struct Instant: Hashable, Comparable, Sendable {
  public let nanoseconds: UInt64
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  public func advanced(byMs milliseconds: Int) -> Instant {
    Instant(nanoseconds: nanoseconds &+ UInt64(max(0, milliseconds)) &* 1_000_000)
  }
  /// Milliseconds from `earlier` to here; 0 if `earlier` is later.
  public func milliseconds(since earlier: Instant) -> Double {
    nanoseconds > earlier.nanoseconds ? Double(nanoseconds - earlier.nanoseconds) / 1e6 : 0
  }

  public static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
  }
}

/// Milliseconds since 1970-01-01T00:00:00Z: event times, and the wall clock where freshness is measured.
public struct UnixTime: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let milliseconds: Int64
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  public static func < (a: UnixTime, b: UnixTime) -> Bool { a.milliseconds < b.milliseconds }
  public var description: String { "\(milliseconds)ms" }
  /// Whole minutes since 1970, the resolution of row metadata. 0 for times before 1970.
  public var minutes: UInt32 { UInt32(clamping: milliseconds / 60_000) }

  public static func now() -> UnixTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UnixTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }
}
