/// Rows of text in columns.
public enum TextTable {
  /// - Parameters:
  ///   - rows: As many cells as `head`.
  ///   - alignRight: Positions of columns of numbers.
  public static func lines(head: [String], rows: [[String]], alignRight: Set<Int>) -> [String] {
    let all = [head] + rows
    let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        if column > 0 { line += "  " }
        if alignRight.contains(column) {
          line += padding + cell
        } else {
          line += cell + padding
        }
      }
      // Spaces at the end would wrap on a terminal that has no room for them.
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }
}
