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

  private static func status(_ key: String) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
      return (kilobytes ?? 0) * 1024
    }
    return 0
  }
}
