import Foundation

/// What the kernel says of this process, by the names that every program has in Prometheus. Linux; where `/proc` does not tell,
/// nothing is said.
struct ProcessFigures: Sendable {
  let startTimeSeconds: Double?
  let cpuSeconds: Double?
  let residentBytes: Int?
  let virtualBytes: Int?
  let openFiles: Int?
  let maximumOpenFiles: Int?

  /// Reads some files: not for an event loop.
  static func current() -> ProcessFigures {
    let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))
    // Behind the program's name, which may have spaces and brackets in it: the third field and those after it.
    let fields = text("/proc/self/stat").flatMap { text in
      text.lastIndex(of: ")").map { text[text.index(after: $0)...].split(separator: " ") }
    }
    func field(_ number: Int) -> Double? { fields.flatMap { $0.count > number - 3 ? Double($0[number - 3]) : nil } }
    let bootTime = line("/proc/stat", "btime").flatMap { $0.last.flatMap { Double($0) } }
    let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
    return ProcessFigures(
      startTimeSeconds: bootTime.flatMap { boot in field(22).map { boot + $0 / ticksPerSecond } },
      cpuSeconds: field(14).flatMap { user in field(15).map { (user + $0) / ticksPerSecond } },
      residentBytes: field(24).map { Int($0) * sysconf(Int32(_SC_PAGESIZE)) },
      virtualBytes: field(23).map { Int($0) },
      // One of them is the listing's own.
      openFiles: files.map { $0.count - 1 },
      maximumOpenFiles: line("/proc/self/limits", "Max open files").flatMap { $0.count > 3 ? Int($0[3]) : nil })
  }

  private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

  /// The words of the line that begins so.
  private static func line(_ path: String, _ prefix: String) -> [Substring]? {
    text(path)?.split(separator: "\n").first { $0.hasPrefix(prefix) }?.split(separator: " ")
  }
}

extension InfoText {
  mutating func addMetrics(of figures: ProcessFigures, isReady: Bool) {
    section("health")
    addMetric("ready", isReady ? 1 : 0)
    section("process")
    func add(_ key: String, _ value: (some CustomStringConvertible)?) {
      if let value { addMetric(key, value) }
    }
    add("start_time", figures.startTimeSeconds)
    add("cpu", figures.cpuSeconds)
    add("resident_memory", figures.residentBytes)
    add("virtual_memory", figures.virtualBytes)
    add("open_files", figures.openFiles)
    add("maximum_open_files", figures.maximumOpenFiles)
  }
}
