import CIntrinsics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the calling thread asks of the kernel for when cores are busy. Where the system does not allow it, all threads are on one
/// footing.
enum ThreadSchedule {
  /// `SCHED_BATCH` of Linux.
  private static let batchPolicy: Int32 = 3
  /// The shortest that Linux grants.
  static let promptSliceNanoseconds: UInt64 = 100_000

  /// For work in the background. A thread that the kernel takes for a batch job gets its share of a busy core, but does not
  /// interrupt another one the moment it has something to do.
  /// - Parameter niceness: 0 ... 19, of the calling thread alone; each step is worth about a tenth of its share of a busy core.
  static func giveWay(niceness: Int32 = 0) {
    var parameters = sched_param()
    _ = sched_setscheduler(0, batchPolicy, &parameters)
    // On Linux a niceness is a thread's own, and 0 means the calling one.
    if niceness > 0 { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness) }
  }

  /// For answers that somebody waits for. A thread gets no more of a busy core than before, but in shorter turns, and so it
  /// may interrupt one with longer turns (1.4 ms is usual with two cores) as soon as a request is there. From Linux 6.12 on.
  static func answerPromptly() { _ = fi_ask_time_slice(promptSliceNanoseconds) }
}
