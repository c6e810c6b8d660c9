/// Where the parts of a `SCORE` lie among its words: what is parsed of one without copying it.
public struct ScoreWords: Sendable {
  /// Words that are `field=value`, all of them UTF-8.
  public let fields: Range<Int>
  /// The word that names the candidates' field; nil if there are no candidates.
  public let candidateField: Int?
  /// The candidates' words, all of them UTF-8; at least one if there is a field.
  public let candidates: Range<Int>

  /// - Throws: `ERR` that names what is wrong and the syntax; `TOOBIG` beyond a limit.
  public init(_ request: RESPRequest, limits: ServingLimits) throws(WireError) {
    let description = ServingCommand.scoreDescription
    try description.checkArity(request)
    self = try request.withArguments { (arguments) throws(WireError) in
      try Self.requireText(arguments, 1, "model")
      let keyword = try Self.fieldsEnd(arguments, request, until: "CANDIDATES", description)
      guard keyword < arguments.count else {
        return ScoreWords(fields: 2..<keyword, candidateField: nil, candidates: keyword..<keyword)
      }
      guard keyword + 2 < arguments.count else {
        throw WireError(.err, "CANDIDATES needs a field and at least one value; expected: \(description.syntax)")
      }
      try Self.requireText(arguments, keyword + 1, "candidate field")
      let candidates = keyword + 2..<arguments.count
      try Self.checkValues(arguments, candidates, "candidate", limits)
      return ScoreWords(fields: 2..<keyword, candidateField: keyword + 1, candidates: candidates)
    }
  }

  private init(fields: Range<Int>, candidateField: Int?, candidates: Range<Int>) {
    self.fields = fields
    self.candidateField = candidateField
    self.candidates = candidates
  }

  static func requireText(_ arguments: RESPArguments, _ index: Int, _ what: String) throws(WireError) {
    guard arguments.isText(index) else { throw WireError(.err, "\(what) (argument \(index)) is not UTF-8") }
  }

  /// Checks the words from the third one on.
  /// - Returns: The position of the keyword behind the fields, or of the request's end.
  static func fieldsEnd(
    _ arguments: RESPArguments, _ request: RESPRequest, until keyword: CommandName, _ description: CommandDescription
  ) throws(WireError) -> Int {
    for index in 2..<arguments.count {
      let word = arguments[index]
      guard let equals = word.firstIndex(of: UInt8(ascii: "=")), equals > 0 else {
        if CommandName(word) == keyword { return index }
        try requireText(arguments, index, "field")
        throw WireError(
          .err, "'\(request.quoted(at: index))' is not field=value; expected: \(description.syntax)")
      }
      try requireText(arguments, index, "field")
    }
    return arguments.count
  }

  static func checkValues(
    _ arguments: RESPArguments, _ range: Range<Int>, _ what: String, _ limits: ServingLimits
  ) throws(WireError) {
    guard range.count <= limits.maxCandidates else {
      throw WireError(.tooBig, "\(range.count) \(what)s in one request; the limit is \(limits.maxCandidates)")
    }
    for index in range { try requireText(arguments, index, what) }
  }
}
