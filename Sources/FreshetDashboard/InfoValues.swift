/// What a process answered to `INFO`, by key, with the keys that carry numbers read.
struct InfoValues: Sendable {
  let values: [String: String]

  init(_ values: [String: String]) { self.values = values }

  subscript(key: String) -> String? { values[key] }

  func number(_ key: String) -> Double? { values[key].flatMap(Double.init).flatMap { $0.isFinite ? $0 : nil } }

  /// `partition_<n>:name=value,…` and, where the line is one number, that under the empty name.
  var partitions: [Int: [String: String]] {
    var partitions: [Int: [String: String]] = [:]
    for (key, value) in values where key.hasPrefix("partition_") {
      guard let number = Int(key.dropFirst("partition_".count)) else { continue }
      partitions[number] = Self.fields(of: value)
    }
    return partitions
  }

  /// The smallest watermark of each partition over the server's shards, from `watermark_<shard>_<partition>`.
  var watermarks: [Int: Int64] {
    var lowest: [Int: Int64] = [:]
    for (key, value) in values where key.hasPrefix("watermark_") {
      let numbers = key.dropFirst("watermark_".count).split(separator: "_").map { Int($0) }
      guard numbers.count == 2, let partition = numbers[1], let offset = Int64(value) else { continue }
      lowest[partition] = min(lowest[partition] ?? offset, offset)
    }
    return lowest
  }

  /// Names of a parameter server's tables.
  var tables: [String] {
    let suffix = "_maximum_probes"
    return values.keys.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }.sorted()
  }

  static func fields(of text: String) -> [String: String] {
    guard text.contains("=") else { return ["": text] }
    var fields: [String: String] = [:]
    for pair in text.split(separator: ",") {
      guard let equals = pair.firstIndex(of: "=") else { continue }
      fields[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
    }
    return fields
  }
}
