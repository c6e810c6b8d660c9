import FreshetCore
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Ctrl-C and SIGTERM as a flag, for a role that is one loop on one thread.
///
/// A signal more than a second after the first ends the process at once, with 128 + its number. Not an earlier one: a
/// supervisor that passes on the terminal's signal makes two of it.
public enum StopSignal {
  /// When the first signal came, in nanoseconds of the monotonic clock; 0 if none has.
  private static let first = Atomic<UInt64>(0)

  public static func install() {
    // Touched here, so that the handler finds it initialised: initialising takes a lock, which handlers may not.
    first.store(0, ordering: .relaxed)
    for number in [SIGINT, SIGTERM] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { number in
        let now = Instant.now().nanoseconds
        let (isFirst, earlier) = StopSignal.first.compareExchange(expected: 0, desired: now, ordering: .relaxed)
        if !isFirst && now > earlier + 1_000_000_000 { _exit(128 + number) }
      }
      sigaction(number, &action, nil)
    }
  }

  public static var isRequested: Bool { first.load(ordering: .relaxed) != 0 }
}
