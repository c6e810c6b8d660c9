import FreshetCore

/// Records of the user's own: `.csv` and `.tsv` with a header, whose columns become JSON members, or JSON lines, which
/// are sent as they are. Members are named as in Freshet's records (`request_id`, `event_time`, `user_id`, …).
///
/// In CSV and TSV an empty field is left out, a number is a number, anything else (and whatever stands in quotes) text.
final class RecordFile {
  struct Entry: Sendable {
    /// Milliseconds since 1970; 0 in a file without event times.
    var eventTime: Int64
    fileprivate var offset: Int
    fileprivate var length: Int
  }

  let path: String
  /// The usable rows, in the order of the file.
  private(set) var entries: [Entry] = []
  private let file: FileBytes
  private let keyMember: String
  private let hasEventTime: Bool
  /// Nil for JSON lines.
  private var columns: [String]?
  private var cutter: FieldCutter

  /// Reads and checks all rows; a row without a key, or without an event time where one is wanted, goes to `report`.
  ///
  /// - Parameter keyMember: The member that is the record's Kafka key.
  init(path: String, keyMember: String, hasEventTime: Bool, report: BadRowReport) throws {
    self.path = path
    self.keyMember = keyMember
    self.hasEventTime = hasEventTime
    file = try FileBytes(path: path)
    cutter = FieldCutter(path.hasSuffix(".tsv") ? .tab : .comma)
    var lines = LineWalker(file.bytes)
    if path.hasSuffix(".csv") || path.hasSuffix(".tsv") {
      try readHeader(&lines)
    } else if ![".jsonl", ".ndjson", ".json"].contains(where: path.hasSuffix) {
      throw ReplayError(
        code: "unknown-format", message: "\(path): the name must end in .csv, .tsv, .jsonl, .ndjson or .json")
    }
    let base = file.bytes.baseAddress
    while let line = lines.next() {
      switch examine(line) {
      case .usable(_, let eventTime):
        entries.append(Entry(eventTime: eventTime, offset: line.baseAddress! - base!, length: line.count))
      case .unusable(let reason):
        try report(BadRow(file: path, line: lines.line, reason: reason, bytes: Array(line)))
      }
    }
  }

  /// Writes the record of an entry, and its key.
  func encode(_ entry: Entry, key: inout JSONBuffer, payload: inout JSONBuffer) {
    let line = UnsafeRawBufferPointer(rebasing: file.bytes[entry.offset..<entry.offset + entry.length])
    key.removeAll()
    payload.removeAll()
    guard case .usable(var text, _) = examine(line) else { preconditionFailure("an entry is a usable row") }
    text.withUTF8 { key.append(raw: UnsafeRawBufferPointer($0)) }
    guard let columns else {
      payload.append(raw: line)
      return
    }
    var isFirst = true
    payload.append("{")
    for (index, name) in columns.enumerated() where index < cutter.count {
      let field = cutter.bytes(index, of: line)
      let isQuoted = cutter.fields[index].isQuoted
      guard isQuoted || field.count > 0 else { continue }
      if !isFirst { payload.append(",") }
      isFirst = false
      payload.append(quoted: name)
      payload.append(":")
      if !isQuoted && FieldText.isJSONNumber(field) {
        payload.append(raw: field)
      } else {
        payload.append(quoted: cutter.text(index, of: line))
      }
    }
    payload.append("}")
  }

  private enum Row {
    case usable(key: String, eventTime: Int64)
    case unusable(String)
  }

  private func readHeader(_ lines: inout LineWalker) throws {
    guard let line = lines.next() else {
      throw ReplayError(code: "bad-header", message: "\(path) is empty; its first line must name the columns")
    }
    if let reason = cutter.cut(line) { throw ReplayError(code: "bad-header", message: "\(path):1: \(reason)") }
    let names = (0..<cutter.count).map { cutter.text($0, of: line) }
    for wanted in hasEventTime ? [keyMember, "event_time"] : [keyMember] where !names.contains(wanted) {
      throw ReplayError(code: "bad-header", message: "\(path):1: no column \(wanted)")
    }
    guard Set(names).count == names.count else {
      throw ReplayError(code: "bad-header", message: "\(path):1: two columns have one name")
    }
    columns = names
  }

  private func examine(_ line: UnsafeRawBufferPointer) -> Row {
    let names = [keyMember, "event_time"]
    var ranges: [Range<Int>?]
    var keyText: String
    if let columns {
      if let reason = cutter.cut(line) { return .unusable(reason) }
      guard cutter.count == columns.count else {
        return .unusable("\(cutter.count) fields, \(columns.count) expected")
      }
      let indices = names.map { columns.firstIndex(of: $0) }
      ranges = indices.map { index in index.map { cutter.fields[$0].start..<cutter.fields[$0].end } }
      keyText = indices[0].map { cutter.text($0, of: line) } ?? ""
    } else {
      switch JSONLine.find(names, in: line) {
      case .malformed(let reason): return .unusable("not a JSON object: \(reason)")
      case .members(let found): ranges = found
      }
      keyText = ranges[0].map { JSONLine.text(of: UnsafeRawBufferPointer(rebasing: line[$0])) } ?? ""
    }
    if keyText.isEmpty { return .unusable("no \(keyMember)") }
    guard hasEventTime else { return .usable(key: keyText, eventTime: 0) }
    guard let range = ranges[1] else { return .unusable("no event_time") }
    let time = UnsafeRawBufferPointer(rebasing: line[range])
    guard let milliseconds = FieldText.unsigned(time, limit: UInt64(Int64.max)) else {
      return .unusable("event_time \(FieldText.excerpt(time)) is not an integer of milliseconds since 1970")
    }
    return .usable(key: keyText, eventTime: Int64(milliseconds))
  }
}
