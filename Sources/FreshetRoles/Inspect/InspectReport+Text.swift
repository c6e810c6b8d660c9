import Foundation
import FreshetCore

extension InspectReport {
  public var json: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      // Rows that diverged are looked at as well.
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }

  /// For people.
  /// - Parameter now: What ages are measured against.
  public func text(now: UnixTime) -> String {
    var lines: [String] = []
    for shard in shards ?? [] {
      lines.append(
        "shard \(shard.shard): \(shard.snapshots.count) snapshots, \(shard.files) files, \(Self.size(shard.bytes))")
      for snapshot in shard.snapshots { lines.append("  " + snapshot.line(now: now)) }
      for name in shard.leftovers { lines.append("  left over: \(name)") }
    }
    if let snapshot {
      lines.append("shard \(snapshot.shard) of \(snapshot.shardCount)")
      lines.append(snapshot.line(now: now))
      for file in snapshot.chain {
        lines.append("  \(file.kind) \(file.name) \(Self.size(file.bytes)) \(file.checksum)")
      }
    }
    if let file { lines += file.lines(now: now) }
    for row in rows ?? [] {
      lines.append("\(row.table) \(row.fid) minute \(row.minutes) weights \(row.weights) state \(row.state)")
    }
    if let rows, rows.isEmpty { lines.append("no such row in this file") }
    for problem in problems { lines.append("PROBLEM \(problem)") }
    return lines.joined(separator: "\n")
  }

  static func size(_ bytes: Int) -> String {
    var value = Double(bytes)
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
      if value < 1024 { return unit == "bytes" ? "\(bytes) bytes" : String(format: "%.1f %@", value, unit) }
      value /= 1024
    }
    return String(format: "%.1f TiB", value)
  }

  static func age(of milliseconds: Int64, now: UnixTime) -> String {
    let seconds = max(0, (now.milliseconds - milliseconds) / 1000)
    let text =
      switch seconds {
      case ..<120: "\(seconds) s"
      case ..<7200: "\(seconds / 60) min"
      case ..<172_800: "\(seconds / 3600) h"
      default: "\(seconds / 86_400) days"
      }
    let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(.iso8601)
    return "\(date), \(text) ago"
  }
}

extension InspectReport.Snapshot {
  fileprivate func line(now: UnixTime) -> String {
    let deltas = chain.count == 1 ? "base" : "base and \(chain.count - 1) deltas"
    let verdict = isVerified.map { $0 ? ", whole" : ", DAMAGED" } ?? ""
    return "number \(number), life \(life): \(deltas), \(InspectReport.size(bytes)), taken "
      + InspectReport.age(of: takenAtMs, now: now) + verdict
  }
}

extension InspectReport.File {
  fileprivate func lines(now: UnixTime) -> [String] {
    var lines = [
      "\(name): \(kind), \(InspectReport.size(bytes))",
      "shard \(shard) of \(shardCount), number \(number), life \(life)",
      "taken \(InspectReport.age(of: takenAtMs, now: now)); newest example: minute \(newestMinutes)",
    ]
    if let parent { lines.append("comes after \(parent)") }
    for table in tables {
      let sketch = table.sketchBytes > 0 ? ", sketch of \(InspectReport.size(table.sketchBytes))" : ""
      lines.append(
        "table \(table.name): \(table.rows) rows here, \(table.width) weights in \(table.weights), \(table.optimizer), "
          + "\(table.rowBytes) bytes a row\(sketch); \(table.updates) updates, \(table.inserts) inserts, "
          + "\(table.removals) removals so far")
    }
    for watermark in watermarks {
      let origin = watermark.origin < 0 ? "" : ", from \(watermark.origin) on"
      let offset = watermark.offset < 0 ? "none" : "\(watermark.offset)"
      lines.append("partition \(watermark.partition): watermark \(offset)\(origin)")
    }
    if let verified {
      lines.append(
        "whole: \(verified.blocks) blocks, \(verified.rows) rows, \(verified.tombstones) tombstones, "
          + "\(InspectReport.size(Int(clamping: verified.rawBytes))) before compression, checksum \(verified.checksum)")
    }
    return lines
  }
}
