/// What a command is called and what it takes: for COMMAND, for error texts and for the documentation.
public struct CommandDescription: Sendable, Hashable {
  public let name: CommandName
  /// Words of the request with the name; negative: at least so many. As Redis counts it.
  public let arity: Int
  /// For people: `PUSH partition epoch from to blob`.
  public let syntax: String
  public let summary: String

  public init(name: CommandName, arity: Int, syntax: String, summary: String) {
    self.name = name
    self.arity = arity
    self.syntax = syntax
    self.summary = summary
  }

  func accepts(wordCount: Int) -> Bool { arity >= 0 ? wordCount == arity : wordCount >= -arity }

  /// Throws unless the request has a number of words that the command takes.
  public func checkArity(_ request: RESPRequest) throws(WireError) {
    guard accepts(wordCount: request.count) else {
      throw WireError(
        .err, "wrong number of arguments for '\(name.text.lowercased())' command; expected: \(syntax)")
    }
  }
}

extension RESPRequest {
  /// The error for a command that the server does not have.
  public var unknownCommand: WireError {
    WireError(.err, "unknown command '\(count > 0 ? quoted(at: 0) : "")'; COMMAND LIST names the known ones")
  }

  /// An integer argument in a range.
  /// - Parameter what: What the argument is, as the syntax names it.
  func integer<Value: FixedWidthInteger>(
    at index: Int, _ what: String, in range: ClosedRange<Value>, _ description: CommandDescription
  ) throws(WireError) -> Value {
    guard let value = withBytes(at: index, { Self.decimal($0, as: Value.self) }), range.contains(value) else {
      let bounds = "an integer from \(range.lowerBound) to \(range.upperBound)"
      throw WireError(
        .err, "\(what) must be \(bounds), not '\(quoted(at: index))'; expected: \(description.syntax)")
    }
    return value
  }

  /// A fid: decimal, or hexadecimal behind `0x`.
  func fid(at index: Int, _ description: CommandDescription) throws(WireError) -> UInt64 {
    let text = quoted(at: index)
    let value =
      text.lowercased().hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text, radix: 10)
    guard let value else {
      throw WireError(
        .err, "fid must be an unsigned 64-bit integer, decimal or 0x…, not '\(text)'; expected: \(description.syntax)")
    }
    return value
  }

  /// An argument that must be UTF-8.
  func requireText(at index: Int, _ what: String) throws(WireError) -> String {
    guard let text = text(at: index) else {
      throw WireError(.err, "\(what) (argument \(index)) is not UTF-8")
    }
    return text
  }

  private static func decimal<Value: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, as: Value.Type) -> Value? {
    if let value = RESPText.integer(bytes) { return Value(exactly: value) }
    return bytes.count <= 20 ? Value(String(decoding: bytes, as: UTF8.self)) : nil
  }
}
