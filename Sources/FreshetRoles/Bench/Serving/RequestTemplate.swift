import FreshetCore
import FreshetWire
import NIOCore

/// A command whose words hold random numbers: `{a..b}` inside a word stands for an integer of that range, and a word that
/// ends with `*n` for n such words.
struct RequestTemplate {
  static let maximumRepetitions = 100_000

  private struct Word {
    var pieces: [Piece]
    var repetitions: Int
  }

  private enum Piece {
    case text(String)
    case number(ClosedRange<Int64>)
  }

  private let words: [Word]
  /// Words after `CANDIDATES field`; 1 for a command without.
  let candidates: Int

  /// - Throws: If there is no word, or a range or a number of repetitions cannot be read.
  init(_ texts: [String]) throws(UsageError) {
    guard !texts.isEmpty else { throw UsageError("no command to send") }
    var words: [Word] = []
    for text in texts { words.append(try Self.word(text)) }
    self.words = words
    let marker = texts.firstIndex { $0.uppercased() == "CANDIDATES" }
    candidates = marker.map { words[min($0 + 2, words.count)...].reduce(0) { $0 + $1.repetitions } } ?? 1
  }

  private static func word(_ text: String) throws(UsageError) -> Word {
    var rest = Substring(text)
    var repetitions = 1
    if let star = text.lastIndex(of: "*"), text[..<star].hasSuffix("}") {
      guard let count = Int(text[text.index(after: star)...]), (1...maximumRepetitions).contains(count) else {
        throw UsageError("\(text): behind `*` must come a number from 1 to \(maximumRepetitions)")
      }
      repetitions = count
      rest = text[..<star]
    }
    var pieces: [Piece] = []
    while let open = rest.firstIndex(of: "{") {
      if open > rest.startIndex { pieces.append(.text(String(rest[..<open]))) }
      guard let close = rest[open...].firstIndex(of: "}"),
        let range = range(rest[rest.index(after: open)..<close])
      else { throw UsageError("\(text): a range of integers looks like {1..6040}") }
      pieces.append(.number(range))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty || pieces.isEmpty { pieces.append(.text(String(rest))) }
    return Word(pieces: pieces, repetitions: repetitions)
  }

  private static func range(_ text: Substring) -> ClosedRange<Int64>? {
    guard let dots = text.firstRange(of: ".."), let low = Int64(text[..<dots.lowerBound]),
      let high = Int64(text[dots.upperBound...]), low <= high
    else { return nil }
    return low...high
  }

  /// One request, as it goes over the wire.
  func encoded(using generator: inout SeededGenerator) -> ByteBuffer {
    var texts: [String] = []
    for word in words {
      for _ in 0..<word.repetitions {
        texts.append(
          word.pieces.map { piece in
            switch piece {
            case .text(let text): text
            case .number(let range): String(Int64.random(in: range, using: &generator))
            }
          }.joined())
      }
    }
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
    encoder.writeCommand(texts)
    return encoder.buffer
  }
}
