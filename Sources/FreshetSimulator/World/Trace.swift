import FreshetCore

/// What happened, as numbers; it becomes text only if somebody reads it.
struct TraceEntry {
  let step: Int
  let nanoseconds: UInt64
  let source: String
  /// `{0}`, `{1}` and `{2}` stand for the values.
  let kind: StaticString
  let values: (Int64, Int64, Int64)
  let text: String?

  var line: String {
    var line = ""
    var isPlaceholder = false
    for character in "\(kind)" {
      switch character {
      case "{": isPlaceholder = true
      case "}": isPlaceholder = false
      case "0" where isPlaceholder: line += String(values.0)
      case "1" where isPlaceholder: line += String(values.1)
      case "2" where isPlaceholder: line += String(values.2)
      default: line.append(character)
      }
    }
    if let text { line += line.isEmpty ? text : ": " + text }
    let milliseconds = Double(nanoseconds / 1000) / 1000
    return "\(step)\t\(milliseconds) ms\t\(source)\t\(line)"
  }
}

/// The last events of a run, or all of them, and a hash of all.
struct Trace {
  /// How many events are kept; nil for all.
  private let limit: Int?
  private var entries: [TraceEntry] = []
  private var next = 0
  private(set) var hash: UInt64 = 0

  init(limit: Int?) {
    self.limit = limit
    entries.reserveCapacity(limit ?? 4096)
  }

  mutating func add(_ entry: TraceEntry) {
    hash = Hashing.mix(hash ^ entry.nanoseconds &+ UInt64(truncatingIfNeeded: entry.kind.utf8CodeUnitCount))
    hash = Hashing.mix(hash ^ UInt64(bitPattern: entry.values.0 &* 31 &+ entry.values.1 &* 1009 &+ entry.values.2))
    hash = Hashing.mix(hash ^ UInt64(truncatingIfNeeded: entry.source.utf8.count) ^ UInt64(entry.text?.utf8.count ?? 0))
    if let limit, entries.count == limit {
      entries[next] = entry
      next = (next + 1) % limit
    } else {
      entries.append(entry)
    }
  }

  var lines: [String] { (entries[next...] + entries[..<next]).map(\.line) }
}
