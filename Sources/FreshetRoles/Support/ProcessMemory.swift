import Foundation

/// What the kernel says of this process's memory.
public enum ProcessMemory {
  public static var processID: Int { Int(ProcessInfo.processInfo.processIdentifier) }
  /// 0 where `/proc` does not tell.
  public static var residentBytes: Int { status("VmRSS:") }
  public static var peakResidentBytes: Int { status("VmHWM:") }

  private static func status(_ key: String) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
      return (kilobytes ?? 0) * 1024
    }
    return 0
  }
}
