import Foundation

/// Lines at the end of a terminal that are drawn again and again in the same place, with the cursor hidden meanwhile.
final class TerminalCanvas {
  private static let escape = "\u{1B}["
  private let output: FileHandle
  private let usesColor: Bool
  private var height = 0
  private var isCursorHidden = false

  init(output: FileHandle, usesColor: Bool) {
    self.output = output
    self.usesColor = usesColor
  }

  /// Columns and rows; what nobody has told is taken for large.
  static func size(of output: FileHandle) -> (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(output.fileDescriptor, UInt(TIOCGWINSZ), &size) == 0 else { return (120, 50) }
    return (size.ws_col > 0 ? Int(size.ws_col) : 120, size.ws_row > 0 ? Int(size.ws_row) : 50)
  }

  /// In one write, so that nothing of the old and the new is seen together for long.
  func draw(_ lines: [LiveTable.Line]) {
    var frame = ""
    if !isCursorHidden {
      isCursorHidden = true
      frame += Self.escape + "?25l"
    }
    if height > 0 { frame += Self.escape + "\(height)A" }
    for line in lines { frame += "\r" + colored(line) + Self.escape + "K\n" }
    // What was below, if there were more lines.
    frame += Self.escape + "J"
    height = lines.count
    output.write(Data(frame.utf8))
  }

  /// Leaves the last lines where they are, and the terminal as it was.
  func end() {
    guard isCursorHidden else { return }
    isCursorHidden = false
    output.write(Data((Self.escape + "?25h").utf8))
  }

  private func colored(_ line: LiveTable.Line) -> String {
    guard usesColor else { return line.text }
    let code: Int? =
      switch line.tone {
      case .plain: nil
      case .heading: 1
      case .good: 32
      case .warning: 33
      case .bad: 31
      }
    return code.map { Self.escape + "\($0)m" + line.text + Self.escape + "0m" } ?? line.text
  }
}
