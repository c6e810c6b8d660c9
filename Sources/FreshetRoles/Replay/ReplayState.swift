import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The progress file: how many events of which replay the broker has confirmed.
///
/// Three lines of text: `freshet-replay 1`, `fingerprint` with 16 hexadecimal digits, `events` with a number.
struct ReplayState: Equatable {
  var fingerprint: UInt64
  var events: Int

  var text: String {
    let digits = String(fingerprint, radix: 16)
    let padded = String(repeating: "0", count: 16 - digits.count) + digits
    return "freshet-replay 1\nfingerprint \(padded)\nevents \(events)\n"
  }

  /// Nil unless the text is what `text` writes.
  init?(text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count == 4, lines[0] == "freshet-replay 1", lines[3].isEmpty,
      lines[1].hasPrefix("fingerprint "), lines[1].count == 28, lines[2].hasPrefix("events "),
      let fingerprint = UInt64(lines[1].dropFirst(12), radix: 16), let events = Int(lines[2].dropFirst(7)),
      events >= 0
    else { return nil }
    self.init(fingerprint: fingerprint, events: events)
  }

  init(fingerprint: UInt64, events: Int) {
    self.fingerprint = fingerprint
    self.events = events
  }

  /// The state of a file, or nil if there is none.
  static func load(_ path: String) throws(ReplayError) -> ReplayState? {
    guard FileBytes.exists(path) else { return nil }
    let file = try FileBytes(path: path)
    guard let state = ReplayState(text: String(decoding: file.bytes, as: UTF8.self)) else {
      throw ReplayError(
        code: "bad-state", message: "\(path) is not a replay's progress file; remove it or name another")
    }
    return state
  }

  /// Replaces the file in one step, so that a crash leaves the old state or the new one.
  func save(_ path: String) throws(ReplayError) {
    let partial = path + ".partial"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure(partial) }
    let bytes = Array(text.utf8)
    let written = write(descriptor, bytes, bytes.count)
    let isSaved = written == bytes.count && fsync(descriptor) == 0
    let failure = Self.failure(partial)
    close(descriptor)
    guard isSaved else { throw failure }
    guard rename(partial, path) == 0 else { throw Self.failure(path) }
  }

  /// The event to go on with.
  func position(in source: some ReplaySource, path: String) throws(ReplayError) -> Int {
    guard fingerprint == source.fingerprint, events <= source.eventCount else {
      throw ReplayError(
        code: "other-state",
        message: "\(path) is the progress of another replay (data, seed, --start, --limit or delay differ); "
          + "remove it or name another")
    }
    return events
  }

  private static func failure(_ path: String) -> ReplayError {
    ReplayError(code: "unwritable-state", message: "\(path) cannot be written: \(String(cString: strerror(errno)))")
  }
}
