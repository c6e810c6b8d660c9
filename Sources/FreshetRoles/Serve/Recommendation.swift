import FreshetCore
import FreshetModel
import FreshetWire

/// One `RECOMMEND` under way. It goes through the catalog a slice at a time, so that other requests are answered in between.
///
/// Items keep their positions while they are in the catalog, so each of those that are there from the first slice to the last is
/// looked at once. One that goes meanwhile is not in the result, and one that comes meanwhile may be.
final class Recommendation {
  /// Items scored in one slice, some hundreds of microseconds' work.
  static let sliceItems = 1024
  /// Positions looked at in one slice, where filters take few of the items.
  static let slicePositions = 8192

  let task: Int
  let request: FeaturePart
  let filter: ItemFilter
  /// Hashes of keys.
  let excluded: Set<UInt64>
  var next = 0
  var best: TopItems<CatalogItem>

  init(task: Int, request: FeaturePart, filter: ItemFilter, excluded: Set<UInt64>, best: TopItems<CatalogItem>) {
    self.task = task
    self.request = request
    self.filter = filter
    self.excluded = excluded
    self.best = best
  }

  /// Ids and scores, best first.
  var result: [(id: String, score: Double)] { best.sorted.map { ($0.item.key, $0.score) } }
}

extension ServingEngine {
  /// - Parameters:
  ///   - filters: Values that fields of an item may have; fields must all agree, of one field's values one.
  ///   - exclude: Item keys, known or not.
  func beginRecommendation(
    model name: String, fields: [RequestField], topK: Int, filters: [RequestField], exclude: [String]
  ) throws(WireError) -> Recommendation {
    let task = try task(named: name)
    try checkReady()
    let excluded = try hashes(ofKeys: exclude)
    let filter = try filter(filters)
    let positions = try self.positions(fields)
    if let item = positions.firstIndex(where: { sides[$0] != .request }) {
      throw WireError(
        .err,
        "field `\(fields[item].name)` is the item's, and RECOMMEND takes the items from the catalog; leave it out or "
          + "say it behind WHERE")
    }
    scratch.reset()
    for (field, position) in zip(fields, positions) {
      let isSaid = extractor.text(of: position, in: scratch) != nil
      guard !isSaid || model.fields[position].multi else {
        throw WireError(.err, "field `\(field.name)` takes one value and is given twice")
      }
      try take(field.value, position, extends: isSaid)
    }
    let request: FeaturePart
    do throws(FeatureError) {
      try completeRequest()
      request = try extractor.copyRequestPart(scratch)
    } catch {
      throw WireError(.err, error.message)
    }
    statistics.requests += 1
    return Recommendation(
      task: task, request: request, filter: filter, excluded: excluded,
      best: TopItems(limit: topK, precedes: Self.order(of: model.fields[model.itemKey].type)))
  }

  private func positions(_ fields: [RequestField]) throws(WireError) -> [Int] {
    var positions: [Int] = []
    for field in fields {
      guard let position = model.field(named: field.name) else { throw unknownField(field.name) }
      positions.append(position)
    }
    return positions
  }

  /// Puts a field's text into the scratch.
  private func take(_ text: String, _ position: Int, extends: Bool) throws(WireError) {
    var text = text
    let result = text.withUTF8 { utf8 in
      Result { () throws(FeatureError) in
        let bytes = UnsafeRawBufferPointer(utf8)
        if extends {
          try extractor.add(field: position, text: bytes, into: scratch)
        } else {
          try extractor.set(field: position, text: bytes, into: scratch)
        }
      }
    }
    if case .failure(let error) = result { throw WireError(.err, error.message) }
  }

  private func hashes(ofKeys keys: [String]) throws(WireError) -> Set<UInt64> {
    var hashes: Set<UInt64> = []
    for key in keys {
      scratch.reset()
      try take(key, model.itemKey, extends: false)
      if let text = extractor.text(of: model.itemKey, in: scratch) {
        hashes.insert(Hashing.xxh3(UnsafeRawBufferPointer(text)))
      }
    }
    return hashes
  }

  private func filter(_ fields: [RequestField]) throws(WireError) -> ItemFilter {
    var filter = ItemFilter(extractor)
    for (field, position) in zip(fields, try positions(fields)) {
      guard sides[position] == .item else {
        throw WireError(.err, "field `\(field.name)` behind WHERE is not one of the item's")
      }
      scratch.reset()
      try take(field.value, position, extends: false)
      filter.allow(position, extractor, scratch)
    }
    return filter
  }

  // MARK: - Slices

  /// Scores the next slice of items.
  /// - Returns: Whether that was the last one.
  func advance(_ recommendation: Recommendation) throws(WireError) -> Bool {
    let isFirst = recommendation.next == 0
    scorer.begin(requests: 1, candidates: Recommendation.sliceItems)
    requestPart = recommendation.request.bytes
    scorer.addRequest(recommendation.request.bytes)
    slice.removeAll(keepingCapacity: true)
    let isLast: Bool
    do throws(FeatureError) {
      isLast = try reader.read { (view) throws(FeatureError) in
        scorer.enter(view)
        let isLast = try addSlice(recommendation)
        scorer.gather(view)
        return isLast
      }
    } catch {
      throw WireError(.err, error.message)
    }
    let probabilities = scorer.compute(candidates: slice.count)
    if isFirst { noteUnknownUser(request: 0) }
    statistics.candidates += UInt64(slice.count)
    rank(recommendation, probabilities)
    return isLast
  }

  /// Adds items from the recommendation's next position on.
  /// - Returns: Whether those were the last ones.
  private func addSlice(_ recommendation: Recommendation) throws(FeatureError) -> Bool {
    let items = catalog.items
    let looksTo = min(items.positionEnd, recommendation.next + Recommendation.slicePositions)
    let takesAll = recommendation.filter.isEmpty && recommendation.excluded.isEmpty
    while recommendation.next < looksTo, slice.count < Recommendation.sliceItems {
      let position = recommendation.next
      recommendation.next += 1
      guard let item = items.place(at: position) else { continue }
      if !takesAll, !items.accepts(position, recommendation.filter, excluding: recommendation.excluded) { continue }
      scorer.addCandidate(slice.count, request: 0, item: item.part, position: position, revision: item.revision)
      try addMixed(slice.count, item: item.part)
      slice.append(SliceItem(position: position, revision: item.revision))
    }
    return recommendation.next >= items.positionEnd
  }

  /// Ranks the slice's items, if they are still as they were when they were scored.
  private func rank(_ recommendation: Recommendation, _ probabilities: UnsafePointer<Float>) {
    let tasks = model.tasks.count
    let scores = probabilities + recommendation.task
    var worst = recommendation.best.worst
    for number in 0..<slice.count where scores[number &* tasks] >= worst {
      // As a rule it is a few that come so far.
      let item = slice[number]
      guard let known = reader.read({ _ in catalog.items.item(at: item.position, revision: item.revision) }) else {
        continue
      }
      recommendation.best.insert(.init(score: Double(scores[number &* tasks]), item: known))
      worst = recommendation.best.worst
    }
  }

  /// Ties go by id: numbers by value, texts by their bytes.
  static func order(of type: FieldSpec.ValueType) -> (CatalogItem, CatalogItem) -> Bool {
    switch type {
    case .integer: { Int64($0.key) ?? 0 < Int64($1.key) ?? 0 }
    case .float: { Double($0.key) ?? 0 < Double($1.key) ?? 0 }
    case .string: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    }
  }
}

/// An item that a slice has scored.
struct SliceItem {
  let position: Int
  let revision: UInt64
}
