import Foundation

/// What the kernel says of this process's memory.
public enum ProcessMemory {
  public static var processID: Int { Int(ProcessInfo.processInfo.processIdentifier) }
  /// 0 where `/proc` does not tell.
  public static var residentBytes: Int { status("VmRSS:") }
  public static var peakResidentBytes: Int { status("VmHWM:") }

  /// Gives the kernel back what is free in the heap. glibc keeps what was freed below anything that is still in use, which can be
  /// all that a large structure had; other C libraries have no such call, and nothing happens.
  public static func returnFreed() {
    // Swift's module of glibc does not have it.
    guard let symbol = dlsym(nil, "malloc_trim") else { return }
    _ = unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)(0)
  }

  /// `peakResidentBytes` counts from here.
  public static func forgetPeak() {
    if let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") { file.write(Data("5".utf8)) }
  }

  /// What can still be had without anything being swapped out: of the machine, and of the process's control group (version 2) if
  /// that has a limit. nil where the kernel does not tell.
  public static var availableBytes: Int? {
    let machine = number(after: "MemAvailable:", in: "/proc/meminfo").map { $0 * 1024 }
    let group = groupAvailableBytes
    return machine.map { min($0, group ?? $0) } ?? group
  }

  private static var groupAvailableBytes: Int? {
    guard let text = try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::") })
    else { return nil }
    let directory = "/sys/fs/cgroup" + line.dropFirst(3)
    guard let limit = number(of: "\(directory)/memory.max"), let current = number(of: "\(directory)/memory.current")
    else { return nil }
    // Pages of files that nobody needs go first.
    let files = number(after: "inactive_file", in: "\(directory)/memory.stat") ?? 0
    return max(0, limit - current + files)
  }

  private static func number(of file: String) -> Int? {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
    return Int(text.split(whereSeparator: \.isWhitespace).first ?? "")
  }

  private static func status(_ key: String) -> Int { (number(after: key, in: "/proc/self/status") ?? 0) * 1024 }

  /// The number behind a key, in the unit of the file; nil if there is none.
  private static func number(after key: String, in file: String) -> Int? {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
    }
    return nil
  }
}
