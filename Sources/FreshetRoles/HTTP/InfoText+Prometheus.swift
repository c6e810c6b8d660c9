import NIOCore

/// The text format of Prometheus, version 0.0.4.
extension InfoText {
  static let prometheusContentType = "text/plain; version=0.0.4; charset=utf-8"

  /// All numbers of all sections as `freshet_<section>_<key>`, counters with `_total` behind it; values that are not
  /// numbers are left out.
  var prometheus: ByteBuffer {
    var families: [Family] = []
    var positions: [String: Int] = [:]
    for section in sections {
      var descriptions: [(name: String, value: String)] = []
      for line in section.lines {
        for sample in line.samples {
          if case .description = sample.metric.kind {
            descriptions.append((sample.name, sample.text))
            continue
          }
          guard Self.isNumber(sample.text) else { continue }
          let family = Family(section: section.name, sample)
          let position = positions[family.name] ?? families.count
          if position == families.count {
            positions[family.name] = position
            families.append(family)
          }
          families[position].lines.append(Self.labels(sample.metric.labels) + " " + sample.text)
        }
      }
      if !descriptions.isEmpty {
        var family = Family(description: section.name)
        family.lines.append(Self.labels(descriptions) + " 1")
        families.append(family)
      }
    }
    var buffer = ByteBuffer()
    for family in families { family.write(to: &buffer) }
    return buffer
  }

  /// All samples of one name, which the format wants together.
  private struct Family {
    let name: String
    let type: String
    let help: String
    /// Labels and value.
    var lines: [String] = []

    init(section: String, _ sample: Sample) {
      let isCounter = if case .counter = sample.metric.kind { true } else { false }
      let base = "freshet_\(section)_\(sample.name)"
      name = InfoText.identifier(isCounter && !base.hasSuffix("_total") ? base + "_total" : base)
      type = isCounter ? "counter" : "gauge"
      help = "\(sample.name) of INFO's section \(section)."
    }

    init(description section: String) {
      name = InfoText.identifier("freshet_\(section)_info")
      type = "gauge"
      help = "What the process is, in labels; always 1."
    }

    func write(to buffer: inout ByteBuffer) {
      buffer.writeString("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n")
      for line in lines { buffer.writeString("\(name)\(line)\n") }
    }
  }

  /// Decimal, as Swift prints finite numbers.
  private static func isNumber(_ text: String) -> Bool {
    guard let first = text.utf8.first, first == UInt8(ascii: "-") || (48...57).contains(first) else { return false }
    return text.utf8.allSatisfy { (48...57).contains($0) || "+-.eE".utf8.contains($0) } && Double(text) != nil
  }

  private static func identifier(_ text: String) -> String {
    String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
  }

  private static func labels(_ labels: [(name: String, value: String)]) -> String {
    guard !labels.isEmpty else { return "" }
    let pairs = labels.map { "\(identifier($0.name))=\"\(escaped($0.value))\"" }
    return "{" + pairs.joined(separator: ",") + "}"
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
