import FreshetModel
import FreshetWire
import NIOCore

extension ServingEngine {
  /// Which sides of a row an object says something of.
  private struct Sides {
    var request = false
    var item = false
  }

  /// Scores `{"context":{…},"candidates":[{…},…]}`.
  func scoreJSON(model name: String, _ json: ByteBuffer) throws(WireError) -> ScoreReply {
    let task = try task(named: name)
    try checkReady()
    let result = json.withUnsafeReadableBytes { bytes in
      Result { () throws(WireError) in try scoreJSON(bytes, task: task) }
    }
    return reply(try result.get())
  }

  /// Scores a `SCOREJSON` as it came.
  func scoreJSON(_ request: RESPRequest) throws(WireError) -> ScoredRequest {
    try ServingCommand.scoreJSONDescription.checkArity(request)
    return try request.withArguments { (arguments) throws(WireError) in
      let task = try task(named: arguments[1])
      try checkReady()
      return try scoreJSON(arguments[2], task: task)
    }
  }

  private func scoreJSON(_ bytes: UnsafeRawBufferPointer, task: Int) throws(WireError) -> ScoredRequest {
    let root: JSONValue
    do throws(JSONError) {
      root = try requestReader.parse(bytes)
    } catch {
      throw WireError(error.kind == .oversized ? .tooBig : .err, error.message)
    }
    let (context, candidates) = try members(root)
    var sides = Sides()
    if let context { try add(context, "context", &sides) }
    var requestPerRow = false
    jsonRows.removeAll(keepingCapacity: true)
    if let candidates {
      guard candidates.childCount <= limits.maxCandidates else {
        throw WireError(
          .tooBig, "\(candidates.childCount) candidates in one request; the limit is \(limits.maxCandidates)")
      }
      for candidate in candidates.children {
        var said = Sides()
        do throws(WireError) {
          try add(candidate, "candidate", &said)
        } catch {
          throw candidate.kind == .object
            ? error
            : WireError(.err, "candidate \(jsonRows.count + 1) must be an object of fields, is \(candidate.excerpt)")
        }
        if said.request { requestPerRow = true }
        if said.item { sides.item = true }
        jsonRows.append(candidate)
      }
    }
    let plan = RowPlan(
      count: candidates == nil ? 1 : jsonRows.count, task: task, requestPerRow: requestPerRow,
      saysItemFields: sides.item)
    try score(plan) { (row, which, scratch) throws(FeatureError) in
      if let context { try extractor.read(context, which, into: scratch) }
      if candidates != nil { try extractor.read(jsonRows[row], which, into: scratch) }
    }
    return ScoredRequest(count: plan.count, isSingle: candidates == nil)
  }

  private func members(_ root: JSONValue) throws(WireError) -> (context: JSONValue?, candidates: JSONValue?) {
    let shape = "{\"context\":{…},\"candidates\":[{…},…]}"
    guard root.kind == .object else { throw WireError(.err, "expected \(shape), not \(root.excerpt)") }
    var context: JSONValue?
    var candidates: JSONValue?
    for member in root.children {
      if member.name.elementsEqual("context".utf8) {
        guard member.kind == .object else {
          throw WireError(.err, "`context` must be an object, is \(member.excerpt); expected \(shape)")
        }
        context = member
      } else if member.name.elementsEqual("candidates".utf8) {
        guard member.kind == .array else {
          throw WireError(.err, "`candidates` must be an array of objects, is \(member.excerpt); expected \(shape)")
        }
        candidates = member
      } else {
        let name = String(decoding: member.name, as: UTF8.self)
        throw WireError(.err, "unknown member `\(RequestText.short(name))`; expected \(shape)")
      }
    }
    guard context != nil || candidates != nil else { throw WireError(.err, "nothing to score; expected \(shape)") }
    return (context, candidates)
  }

  /// Checks that the model has every member, and notes which sides of a row they say something of.
  private func add(_ object: JSONValue, _ what: StaticString, _ sides: inout Sides) throws(WireError) {
    guard object.kind == .object else {
      throw WireError(.err, "\(what) must be an object of fields, is \(object.excerpt)")
    }
    for member in object.children {
      switch try side(ofMember: member.name) {
      case .request: sides.request = true
      case .item: sides.item = true
      case .key, .neither: continue
      }
    }
  }
}
