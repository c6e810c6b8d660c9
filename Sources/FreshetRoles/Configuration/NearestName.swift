/// What somebody may have meant who wrote a name that there is not.
public enum NearestName {
  /// - Returns: The known name that is few letters away, or that has the given one in it; nil if none is like it.
  public static func of(_ name: String, among known: some Sequence<String>) -> String? {
    let wanted = normal(name)
    let candidates = known.map { (name: $0, normal: normal($0)) }
    let limit = min(3, (wanted.count + 1) / 2)
    let near = candidates.map { ($0.name, distance(wanted, $0.normal)) }.min { ($0.1, $0.0) < ($1.1, $1.0) }
    if let near, near.1 <= limit { return near.0 }
    guard wanted.count >= 4 else { return nil }
    return candidates.filter { $0.normal.contains(wanted) || ($0.normal.count >= 4 && wanted.contains($0.normal)) }
      .min { ($0.name.count, $0.name) < ($1.name.count, $1.name) }?.name
  }

  /// The same as the end of a message; empty if there is none.
  public static func hint(_ name: String, among known: some Sequence<String>) -> String {
    of(name, among: known).map { "; did you mean `\($0)`?" } ?? ""
  }

  private static func normal(_ name: String) -> String { name.lowercased().replacing("-", with: "_") }

  /// Letters that must be inserted, removed, replaced or exchanged with the next one.
  static func distance(_ a: String, _ b: String) -> Int {
    let a = Array(a.utf8)
    let b = Array(b.utf8)
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var least = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, beforeLast[j - 1] + 1) }
        row.append(least)
      }
      (beforeLast, last) = (last, row)
    }
    return last[b.count]
  }
}
