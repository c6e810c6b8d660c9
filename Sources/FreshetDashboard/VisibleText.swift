/// Text of strangers, made fit to be looked at.
enum VisibleText {
  /// At most so many characters, with control characters and those that change the direction of writing shown by their number:
  /// they could make a record look like another one.
  static func excerpt(_ text: some StringProtocol, limit: Int) -> (text: String, isCut: Bool) {
    var shown = String.UnicodeScalarView()
    var count = 0
    for scalar in text.unicodeScalars {
      guard count < limit else { return (String(shown), true) }
      count += 1
      if isHidden(scalar) {
        shown.append(contentsOf: "⟨\(String(scalar.value, radix: 16, uppercase: true))⟩".unicodeScalars)
      } else {
        shown.append(scalar)
      }
    }
    return (String(shown), false)
  }

  private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: true
    default: false
    }
  }
}
