/// Points with error bars over named categories, as SVG that reads on light and on dark pages.
///
/// The value axis does not begin at 0: what is compared are differences, and points, unlike bars, claim nothing about 0.
struct PointChart: Sendable {
  struct Series: Sendable {
    var name: String
    /// By category; bars reach one deviation up and down.
    var points: [Spread]
  }

  let title: String
  let yLabel: String
  /// Lines of a name are drawn below each other.
  let categories: [String]
  let series: [Series]

  /// - Precondition: At least one category and one to four series, with a point for each category.
  init(title: String, yLabel: String, categories: [String], series: [Series]) {
    precondition(!categories.isEmpty && (1...Self.colours.count).contains(series.count))
    precondition(series.allSatisfy { $0.points.count == categories.count })
    self.title = title
    self.yLabel = yLabel
    self.categories = categories
    self.series = series
  }

  private static let width = 720.0
  private static let height = 400.0
  private static let plot = (left: 76.0, right: 704.0, top: 64.0, bottom: 344.0)
  /// On light and on dark pages; told apart by lightness as well as by hue, and points by their shapes.
  private static let colours = [
    (light: "#1f5fa8", dark: "#7db8f5"), (light: "#b3541e", dark: "#f0a06a"), (light: "#3c7d3c", dark: "#8fd18f"),
    (light: "#7a4aa0", dark: "#c9a0ec"),
  ]

  var svg: String {
    let axis = ValueAxis(values: values)
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Self.number(Self.width)) \(Self.number(Self.height))\" "
        + "role=\"img\" aria-label=\"\(Self.escaped(title))\">",
      "<style>", style, "</style>",
      text(title, x: Self.plot.left, y: 26, anchor: "start", style: "title"),
    ]
    lines += legend() + valueAxis(axis) + categoryAxis()
    for number in series.indices { lines += points(number, axis) }
    return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
  }

  private var values: [Double] {
    series.flatMap(\.points).filter(\.mean.isFinite).flatMap { point in
      [point.mean - (point.deviation ?? 0), point.mean + (point.deviation ?? 0)]
    }
  }

  private var style: String {
    func rules(_ ink: String, _ faint: String, _ colours: [String]) -> [String] {
      ["text { fill: \(ink); } .axis { stroke: \(ink); } .grid { stroke: \(faint); }"]
        + colours.enumerated().map { ".s\($0) { stroke: \($1); fill: \($1); }" }.prefix(series.count)
    }
    return
      (["text { font: 13px system-ui, sans-serif; stroke: none; } .title { font-size: 15px; font-weight: 600; }"]
      + rules("#24292f", "#d7dbe0", Self.colours.map(\.light)) + ["@media (prefers-color-scheme: dark) {"]
      + rules("#d6dde5", "#3b424a", Self.colours.map(\.dark)) + ["}"]).joined(separator: "\n")
  }

  // MARK: - Parts

  private func legend() -> [String] {
    var x = Self.plot.left
    return series.enumerated().flatMap { number, one -> [String] in
      defer { x += 40 + Double(one.name.count) * 7.5 }
      return [marker(number, x: x + 5, y: 45), text(one.name, x: x + 16, y: 49.5, anchor: "start", style: nil)]
    }
  }

  private func valueAxis(_ axis: ValueAxis) -> [String] {
    let middle = (Self.plot.top + Self.plot.bottom) / 2
    var lines = axis.ticks.flatMap { tick -> [String] in
      let y = y(tick, axis)
      return [
        line("grid", Self.plot.left, y, Self.plot.right, y),
        text(fixed(tick, decimals: axis.decimals), x: Self.plot.left - 8, y: y + 4.5, anchor: "end", style: nil),
      ]
    }
    lines.append(line("axis", Self.plot.left, Self.plot.top, Self.plot.left, Self.plot.bottom))
    lines.append(
      "<text x=\"18\" y=\"\(Self.number(middle))\" text-anchor=\"middle\" "
        + "transform=\"rotate(-90 18 \(Self.number(middle)))\">\(Self.escaped(yLabel))</text>")
    return lines
  }

  private func categoryAxis() -> [String] {
    [line("axis", Self.plot.left, Self.plot.bottom, Self.plot.right, Self.plot.bottom)]
      + categories.enumerated().flatMap { number, name in
        name.split(separator: "\n").enumerated().map { row, part in
          text(String(part), x: x(number), y: Self.plot.bottom + 22 + Double(row) * 17, anchor: "middle", style: nil)
        }
      }
  }

  private func points(_ number: Int, _ axis: ValueAxis) -> [String] {
    // Beside each other, so that bars do not cover each other.
    let shift = (Double(number) - Double(series.count - 1) / 2) * 14
    return series[number].points.enumerated().flatMap { category, point -> [String] in
      guard point.mean.isFinite else { return [] }
      let x = x(category) + shift
      var lines: [String] = []
      if let deviation = point.deviation, deviation.isFinite {
        let (top, bottom) = (y(point.mean + deviation, axis), y(point.mean - deviation, axis))
        lines += [
          line("s\(number)", x, top, x, bottom), line("s\(number)", x - 4, top, x + 4, top),
          line("s\(number)", x - 4, bottom, x + 4, bottom),
        ]
      }
      return lines + [marker(number, x: x, y: y(point.mean, axis))]
    }
  }

  private func marker(_ number: Int, x: Double, y: Double) -> String {
    let (x0, y0) = (Self.number(x), Self.number(y))
    func n(_ value: Double) -> String { Self.number(value) }
    return switch number {
    case 0: "<circle class=\"s0\" cx=\"\(x0)\" cy=\"\(y0)\" r=\"4\"/>"
    case 1: "<rect class=\"s1\" x=\"\(n(x - 3.5))\" y=\"\(n(y - 3.5))\" width=\"7\" height=\"7\"/>"
    case 2: "<path class=\"s2\" d=\"M\(x0) \(n(y - 5))L\(n(x + 5)) \(n(y + 4))H\(n(x - 5))Z\"/>"
    default: "<path class=\"s3\" d=\"M\(x0) \(n(y - 5))L\(n(x + 5)) \(y0)L\(x0) \(n(y + 5))L\(n(x - 5)) \(y0)Z\"/>"
    }
  }

  // MARK: - Elements

  private func x(_ category: Int) -> Double {
    Self.plot.left + (Self.plot.right - Self.plot.left) * (Double(category) + 0.5) / Double(categories.count)
  }

  private func y(_ value: Double, _ axis: ValueAxis) -> Double {
    Self.plot.bottom - (Self.plot.bottom - Self.plot.top) * (value - axis.low) / (axis.high - axis.low)
  }

  private func line(_ style: String, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
    "<line class=\"\(style)\" x1=\"\(Self.number(x1))\" y1=\"\(Self.number(y1))\" x2=\"\(Self.number(x2))\" "
      + "y2=\"\(Self.number(y2))\"/>"
  }

  private func text(_ text: String, x: Double, y: Double, anchor: String, style: String?) -> String {
    let style = style.map { " class=\"\($0)\"" } ?? ""
    return "<text\(style) x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" text-anchor=\"\(anchor)\">"
      + "\(Self.escaped(text))</text>"
  }

  /// Coordinates to a tenth.
  private static func number(_ value: Double) -> String {
    let text = fixed(value, decimals: 1)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  private static func escaped(_ text: String) -> String {
    var escaped = ""
    for character in text {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.append(character)
      }
    }
    return escaped
  }
}

/// Round ticks around values.
struct ValueAxis: Equatable {
  let low: Double
  let high: Double
  let ticks: [Double]
  /// Of the ticks' labels.
  let decimals: Int

  /// Ticks are 1, 2 or 5 times a power of ten apart, and four to ten of them enclose the values.
  init(values: [Double]) {
    let least = values.min() ?? 0
    let most = values.max() ?? 1
    // Equal values still get an axis; it cannot be finer than what a label shows.
    let span = max(most - least, 1e-4)
    var decimals = 0
    var unit = 1.0
    while unit > span / 2, decimals < 6 {
      unit /= 10
      decimals += 1
    }
    let step = [1.0, 2, 5, 10, 20, 50, 100].first { span / (unit * $0) <= 7 }.map { unit * $0 } ?? span / 7
    let first = (least / step).rounded(.down)
    let last = max((most / step).rounded(.up), first + 3)
    low = first * step
    high = last * step
    ticks = stride(from: first, through: last, by: 1).map { $0 * step }
    self.decimals = decimals
  }
}
