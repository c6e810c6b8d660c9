/// A table as Markdown, its columns padded so that the text reads as a table too.
struct MarkdownTable: Sendable {
  enum Alignment { case left, right }

  let header: [String]
  let alignment: [Alignment]
  /// Each with as many cells as the header.
  let rows: [[String]]

  init(header: [String], alignment: [Alignment], rows: [[String]]) {
    precondition(alignment.count == header.count && rows.allSatisfy { $0.count == header.count })
    self.header = header.map(Self.escaped)
    self.alignment = alignment
    self.rows = rows.map { $0.map(Self.escaped) }
  }

  /// A bar would end the cell, a line break the table.
  private static func escaped(_ cell: String) -> String {
    String(
      cell.flatMap { (character: Character) -> [Character] in
        character == "|" ? ["\\", "|"] : [character.isNewline ? " " : character]
      })
  }

  /// Without a line break at the end.
  var text: String {
    let widths = header.indices.map { column in max(3, ([header] + rows).map { $0[column].count }.max()!) }
    let rule = header.indices.map { column in
      switch alignment[column] {
      case .left: String(repeating: "-", count: widths[column])
      case .right: String(repeating: "-", count: widths[column] - 1) + ":"
      }
    }
    return ([line(header, widths), "| " + rule.joined(separator: " | ") + " |"] + rows.map { line($0, widths) })
      .joined(separator: "\n")
  }

  private func line(_ cells: [String], _ widths: [Int]) -> String {
    let padded = cells.enumerated().map { column, cell in
      let space = String(repeating: " ", count: widths[column] - cell.count)
      return alignment[column] == .left ? cell + space : space + cell
    }
    return "| " + padded.joined(separator: " | ") + " |"
  }
}
