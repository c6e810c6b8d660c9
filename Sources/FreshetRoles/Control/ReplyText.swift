import FreshetWire

/// A reply as a person reads it.
public enum ReplyText {
  public static func format(_ value: RESPValue) -> String { format(value, indent: "") }

  private static func format(_ value: RESPValue, indent: String) -> String {
    switch value {
    case .null: return "(nil)"
    case .integer(let integer): return "(integer) \(integer)"
    case .double(let double): return "\(double)"
    case .boolean(let boolean): return "\(boolean)"
    case .array(let elements), .push(let elements):
      guard !elements.isEmpty else { return "(empty)" }
      return elements.enumerated().map { index, element in
        let label = "\(index + 1)) "
        let inner = indent + String(repeating: " ", count: label.count)
        return (index == 0 ? "" : indent) + label + format(element, indent: inner)
      }.joined(separator: "\n")
    case .map(let entries):
      guard !entries.isEmpty else { return "(empty)" }
      return entries.enumerated().map { index, entry in
        (index == 0 ? "" : indent) + "\(entry.key.text ?? "?"): " + format(entry.value, indent: indent + "  ")
      }.joined(separator: "\n")
    default: return value.text ?? value.buffer.map { "(\($0.readableBytes) bytes)" } ?? "\(value)"
    }
  }
}
