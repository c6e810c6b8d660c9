/// The bytes of a script, read one after the other. Behind the end they are zeros.
struct ScriptBytes {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position >= bytes.count }

  mutating func next() -> Int {
    guard position < bytes.count else { return 0 }
    position += 1
    return Int(bytes[position - 1])
  }

  mutating func next16() -> Int { next() << 8 | next() }

  mutating func choose<Choice>(_ choices: [Choice]) -> Choice { choices[next() % choices.count] }
}

/// A table that did not do what its model says.
public struct ScriptFailure: Error, CustomStringConvertible {
  /// The step of the script that found it, from 1 on; 0 is the table's creation.
  public let step: Int
  public let message: String

  public var description: String { "step \(step): \(message)" }
}
