import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How a thread that works in the background stands back behind those that answer.
///
/// Where the system does not allow it, all threads are on one footing.
enum BackgroundThread {
  /// `SCHED_BATCH` of Linux.
  private static let batchPolicy: Int32 = 3

  /// A thread that the kernel takes for a batch job gets its share of a busy core, but does not interrupt another one the
  /// moment it has something to do: a request that is being answered is answered first.
  ///
  /// - Parameter niceness: 0 ... 19, of the calling thread alone; each step is worth about a tenth of its share of a busy core.
  static func giveWay(niceness: Int32 = 0) {
    var parameters = sched_param()
    _ = sched_setscheduler(0, batchPolicy, &parameters)
    // On Linux a niceness is a thread's own, and 0 means the calling one.
    if niceness > 0 { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness) }
  }
}
