import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Standard error: a bar that is drawn over itself on a terminal, a line every few seconds elsewhere.
final class ReplayConsole {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var hasBar = false
  private var nextProgress = Instant(nanoseconds: 0)
  private let intervalMs: Int
  private var badRows = 0
  private var troubles: [String: (said: Instant, unsaid: Int)] = [:]
  private static let shownBadRows = 20

  init() { intervalMs = isTerminal ? 100 : 5000 }

  func say(_ text: String) {
    clearBar()
    write("replay: \(text)\n")
  }

  /// Names the first bad rows; the summary counts them all, and the dead-letter topic has them all.
  func badRow(_ row: BadRow) {
    badRows += 1
    if badRows <= Self.shownBadRows { say("\(row.location): \(row.reason)") }
    if badRows == Self.shownBadRows { say("further bad rows are only counted here") }
  }

  /// Something that may come again and again: the same words are said every few seconds at most.
  func trouble(_ text: String, now: Instant) {
    var seen = troubles[text] ?? (said: Instant(nanoseconds: 0), unsaid: 0)
    defer { troubles[text] = seen }
    guard seen.said.nanoseconds == 0 || now.milliseconds(since: seen.said) >= 5000 else {
      seen.unsaid += 1
      return
    }
    if troubles.count >= 100 { troubles.removeAll() }
    say(seen.unsaid == 0 ? text : "\(text) (and \(ReplayProgress.grouped(seen.unsaid)) times since)")
    seen = (now, 0)
  }

  func progress(_ progress: ReplayProgress, done: Int, elapsedSeconds: Double, now: Instant) {
    guard now >= nextProgress else { return }
    // Off a terminal the first line comes after the first interval: a short replay has only its summary.
    let isFirst = nextProgress.nanoseconds == 0
    nextProgress = now.advanced(byMs: intervalMs)
    if isTerminal {
      write("\r\u{1b}[K" + progress.bar(done: done, elapsedSeconds: elapsedSeconds, width: width))
      hasBar = true
    } else if !isFirst {
      write("replay: \(progress.line(done: done, elapsedSeconds: elapsedSeconds))\n")
    }
  }

  func clearBar() {
    guard hasBar else { return }
    write("\r\u{1b}[K")
    hasBar = false
  }

  private var width: Int {
    var size = winsize()
    return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }

  private func write(_ text: String) {
    var text = text
    // A closed standard error is no reason to stop.
    text.withUTF8 { bytes in _ = Self.systemWrite(STDERR_FILENO, bytes.baseAddress, bytes.count) }
  }

  private static func systemWrite(_ descriptor: Int32, _ base: UnsafeRawPointer?, _ count: Int) -> Int {
    #if canImport(Glibc)
      Glibc.write(descriptor, base, count)
    #else
      Musl.write(descriptor, base, count)
    #endif
  }
}
