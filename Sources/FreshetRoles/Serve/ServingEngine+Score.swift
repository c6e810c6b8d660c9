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

/// One field of a request with all of its values, lists joined by `|`.
struct NamedField {
  let position: Int
  let name: String
  var text: String
  let side: FieldSide
}

extension ServingEngine {
  func score(
    model name: String, fields: [RequestField], candidates: RequestCandidates?
  ) throws(WireError) -> ScoreReply {
    let task = try task(named: name)
    try checkReady()
    let named = try resolve(fields)
    let candidateField = try candidates.map { (candidates) throws(WireError) in try position(ofField: candidates.field)
    }
    let candidateSide = candidateField.map { FieldSide(of: $0, in: model) }
    try fillBatch(
      count: candidates?.values.count ?? 1, requestPerRow: candidateSide == .request,
      saysItemFields: candidateSide == .item || named.contains { $0.side == .item }
    ) { (number, fields, scratch) throws(FeatureError) in
      for field in named where field.position != candidateField {
        try set(field.name, field.text, field.side, fields, scratch)
      }
      if let candidates, let candidateSide {
        try set(candidates.field, candidates.values[number], candidateSide, fields, scratch)
      }
    }
    let scores = scores(task: task)
    return candidates == nil ? .one(scores[0]) : .many(scores)
  }

  private func set(
    _ name: String, _ text: String, _ side: FieldSide, _ fields: FeatureExtractor.Fields, _ scratch: FeatureScratch
  ) throws(FeatureError) {
    switch (fields, side) {
    case (.request, .item), (.item, .request): return
    default: _ = try extractor.set(name: name, text: text, into: scratch)
    }
  }

  /// Finds the fields and joins the values of lists.
  func resolve(_ fields: [RequestField]) throws(WireError) -> [NamedField] {
    var named: [NamedField] = []
    named.reserveCapacity(fields.count)
    for field in fields {
      let position = try position(ofField: field.name)
      if let earlier = named.firstIndex(where: { $0.position == position }) {
        guard model.fields[position].multi else {
          throw WireError(.err, "field `\(field.name)` takes one value and is given twice")
        }
        named[earlier].text += "|" + field.value
      } else {
        named.append(
          NamedField(
            position: position, name: field.name, text: field.value, side: FieldSide(of: position, in: model)))
      }
    }
    return named
  }
}

// MARK: - JSON

extension ServingEngine {
  /// Which sides of a row an object says something of.
  private struct Sides {
    var request = false
    var item = false
  }

  func scoreJSON(model name: String, _ json: ByteBuffer) throws(WireError) -> ScoreReply {
    let task = try task(named: name)
    try checkReady()
    let result = json.withUnsafeReadableBytes { bytes in
      Result { () throws(WireError) in try scoreJSON(bytes, task: task) }
    }
    return try result.get()
  }

  private func scoreJSON(_ bytes: UnsafeRawBufferPointer, task: Int) throws(WireError) -> ScoreReply {
    let root: JSONValue
    do throws(JSONError) {
      root = try requestReader.parse(bytes)
    } catch {
      throw WireError(error.kind == .oversized ? .tooBig : .err, error.message)
    }
    let (context, candidates) = try members(root)
    var sides = try context.map { (context) throws(WireError) in try self.sides(context, "context") } ?? Sides()
    var rows: [JSONValue] = []
    var requestPerRow = false
    if let candidates {
      guard candidates.childCount <= limits.maxCandidates else {
        throw WireError(
          .tooBig, "\(candidates.childCount) candidates in one request; the limit is \(limits.maxCandidates)")
      }
      rows.reserveCapacity(candidates.childCount)
      for candidate in candidates.children {
        let said = try self.sides(candidate, "candidate \(rows.count + 1)")
        if said.request { requestPerRow = true }
        if said.item { sides.item = true }
        rows.append(candidate)
      }
    }
    try fillBatch(
      count: candidates == nil ? 1 : rows.count, requestPerRow: requestPerRow, saysItemFields: sides.item
    ) { (number, fields, scratch) throws(FeatureError) in
      if let context { try extractor.read(context, fields, into: scratch) }
      if candidates != nil { try extractor.read(rows[number], fields, into: scratch) }
    }
    let scores = scores(task: task)
    return candidates == nil ? .one(scores[0]) : .many(scores)
  }

  private func members(_ root: JSONValue) throws(WireError) -> (context: JSONValue?, candidates: JSONValue?) {
    let shape = "{\"context\":{…},\"candidates\":[{…},…]}"
    guard root.kind == .object else { throw WireError(.err, "expected \(shape), not \(root.excerpt)") }
    var context: JSONValue?
    var candidates: JSONValue?
    for member in root.children {
      switch String(decoding: member.name, as: UTF8.self) {
      case "context":
        guard member.kind == .object else {
          throw WireError(.err, "`context` must be an object, is \(member.excerpt); expected \(shape)")
        }
        context = member
      case "candidates":
        guard member.kind == .array else {
          throw WireError(.err, "`candidates` must be an array of objects, is \(member.excerpt); expected \(shape)")
        }
        candidates = member
      case let name:
        throw WireError(.err, "unknown member `\(RequestText.short(name))`; expected \(shape)")
      }
    }
    guard context != nil || candidates != nil else { throw WireError(.err, "nothing to score; expected \(shape)") }
    return (context, candidates)
  }

  /// Checks that the model has every member.
  private func sides(_ object: JSONValue, _ what: String) throws(WireError) -> Sides {
    guard object.kind == .object else {
      throw WireError(.err, "\(what) must be an object of fields, is \(object.excerpt)")
    }
    var sides = Sides()
    for member in object.children {
      switch memberNames[Hashing.xxh3(member.name)] {
      case .request: sides.request = true
      case .item: sides.item = true
      case .key, .neither: continue
      case nil: throw unknownField(String(decoding: member.name, as: UTF8.self))
      }
    }
    return sides
  }
}
