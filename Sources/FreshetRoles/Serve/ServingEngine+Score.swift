import FreshetCore
import FreshetModel
import FreshetWire
import NIOCore

/// What a request for scores is answered with.
enum ScoreReply: Equatable {
  /// Of a request without candidates.
  case one(Double)
  /// One for each candidate, in order.
  case many([Double])
}

/// A request whose scores lie in `ServingEngine.scores`, until the next one is scored.
struct ScoredRequest {
  /// The position of its first score.
  var first = 0
  let count: Int
  /// Whether the request had no candidates.
  let isSingle: Bool
}

/// A `SCORE` that has been checked: where its parts lie among its words, and how its rows differ.
struct ScoreForm {
  let words: ScoreWords
  /// -1 without candidates.
  let candidateField: Int
  let candidateSide: FieldSide
  let plan: RowPlan

  var isSingle: Bool { words.candidateField == nil }
}

extension ServingEngine {
  /// Scores a `SCORE` as it came; its words are read where they lie.
  func score(_ request: RESPRequest) throws(WireError) -> ScoredRequest {
    let words = try ScoreWords(request, limits: limits)
    return try request.withArguments { (arguments) throws(WireError) in
      let form = try form(arguments, words)
      try checkReady()
      try score(form.plan) { (row, which, scratch) throws(FeatureError) in
        try fill(row, which, scratch, form, arguments)
      }
      return ScoredRequest(count: form.plan.count, isSingle: form.isSingle)
    }
  }

  /// Checks that the model has the task and every field, and that only lists are given several times.
  func form(_ arguments: RESPArguments, _ words: ScoreWords) throws(WireError) -> ScoreForm {
    let task = try task(named: arguments[1])
    var saysItemFields = try checkFields(arguments, words.fields)
    var candidateField = -1
    var candidateSide = FieldSide.neither
    if let word = words.candidateField {
      candidateField = try position(ofField: arguments[word])
      candidateSide = sides[candidateField]
      if candidateSide == .item { saysItemFields = true }
    }
    return ScoreForm(
      words: words, candidateField: candidateField, candidateSide: candidateSide,
      plan: RowPlan(
        count: words.candidateField == nil ? 1 : words.candidates.count, task: task,
        requestPerRow: candidateSide == .request, saysItemFields: saysItemFields))
  }

  /// Puts the fields of one row and side into a scratch, which is empty.
  @inline(__always)
  func fill(
    _ row: Int, _ which: FeatureExtractor.Fields, _ scratch: FeatureScratch, _ form: ScoreForm,
    _ arguments: RESPArguments
  ) throws(FeatureError) {
    for word in form.words.fields {
      let (name, text) = Self.parts(arguments[word])
      let field = extractor.field(named: name)
      guard field != form.candidateField, Self.counts(sides[field], which) else { continue }
      if model.fields[field].multi, isSaid(field, form.words.fields.lowerBound..<word, arguments) {
        try extractor.add(field: field, text: text, into: scratch)
      } else {
        try extractor.set(field: field, text: text, into: scratch)
      }
    }
    if !form.isSingle, Self.counts(form.candidateSide, which) {
      try extractor.set(
        field: form.candidateField, text: arguments[form.words.candidates.lowerBound + row], into: scratch)
    }
  }

  /// - Returns: Whether the item is said more of than its key.
  private func checkFields(_ arguments: RESPArguments, _ words: Range<Int>) throws(WireError) -> Bool {
    var saysItemFields = false
    for word in words {
      let field = try position(ofField: Self.parts(arguments[word]).name)
      if sides[field] == .item { saysItemFields = true }
      if !model.fields[field].multi, isSaid(field, words.lowerBound..<word, arguments) {
        throw WireError(.err, "field `\(model.fields[field].name)` takes one value and is given twice")
      }
    }
    return saysItemFields
  }

  private func isSaid(_ field: Int, _ words: Range<Int>, _ arguments: RESPArguments) -> Bool {
    for word in words where extractor.field(named: Self.parts(arguments[word]).name) == field { return true }
    return false
  }

  /// The name and the value of a word that is `field=value`.
  @inline(__always)
  private static func parts(_ word: UnsafeRawBufferPointer) -> (
    name: UnsafeRawBufferPointer, text: UnsafeRawBufferPointer
  ) {
    var equals = 0
    while equals < word.count, word[equals] != UInt8(ascii: "=") { equals &+= 1 }
    return (
      UnsafeRawBufferPointer(rebasing: word[..<equals]),
      UnsafeRawBufferPointer(rebasing: word[min(equals &+ 1, word.count)...])
    )
  }

  /// Whether a field belongs to what is being filled.
  @inline(__always)
  private static func counts(_ side: FieldSide, _ which: FeatureExtractor.Fields) -> Bool {
    switch (which, side) {
    case (.request, .item), (.item, .request): false
    default: true
    }
  }

  /// The scores of a request as values.
  func reply(_ scored: ScoredRequest) -> ScoreReply {
    scored.isSingle ? .one(Double(scores[scored.first])) : .many(scored.positions.map { Double(scores[$0]) })
  }
}

extension ScoredRequest {
  var positions: Range<Int> { first..<first + count }
}
