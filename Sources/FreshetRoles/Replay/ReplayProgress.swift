/// The words of progress; the shell decides where and how often they appear.
struct ReplayProgress {
  /// Units of the whole replay.
  let total: Int
  /// Units that an earlier run had done.
  let resumedAt: Int
  /// `ratings`, `records`.
  let unitName: String

  /// `1,000,209 ratings  42%  51,230/s  0:11 left`
  func line(done: Int, elapsedSeconds: Double) -> String {
    let rate = self.rate(done: done, elapsedSeconds: elapsedSeconds)
    var parts = ["\(Self.grouped(done)) of \(Self.grouped(total)) \(unitName)", "\(percent(done))%"]
    parts.append("\(Self.grouped(Int(rate)))/s")
    if done < total && rate > 0 { parts.append("\(Self.clock(Double(total - done) / rate)) left") }
    return parts.joined(separator: "  ")
  }

  /// The line with a bar before it, at most `width` columns wide.
  func bar(done: Int, elapsedSeconds: Double, width: Int) -> String {
    let line = line(done: done, elapsedSeconds: elapsedSeconds)
    let room = min(40, width - line.count - 5)
    guard room >= 5 else { return String(line.prefix(max(0, width - 1))) }
    let filled = total == 0 ? room : min(room, done * room / total)
    return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: room - filled) + "]  " + line
  }

  private func percent(_ done: Int) -> Int { total == 0 ? 100 : done * 100 / total }

  private func rate(done: Int, elapsedSeconds: Double) -> Double {
    elapsedSeconds > 0 ? Double(max(0, done - resumedAt)) / elapsedSeconds : 0
  }

  static func grouped(_ number: Int) -> String {
    var text = ""
    for (index, digit) in String(number.magnitude).reversed().enumerated() {
      if index > 0 && index % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return (number < 0 ? "-" : "") + String(text.reversed())
  }

  /// `0:07`, `12:30`, `3:04:05`
  static func clock(_ seconds: Double) -> String {
    let whole = Int(min(max(0, seconds.rounded(.up)), 1e9))
    let two = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return hours > 0 ? "\(hours):\(two(minutes)):\(two(whole % 60))" : "\(minutes):\(two(whole % 60))"
  }
}
