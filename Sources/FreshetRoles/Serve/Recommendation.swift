import FreshetCore
import FreshetModel
import FreshetWire

/// One `RECOMMEND` under way. It goes through the catalog as it was at the start, a chunk at a time, so that other
/// requests are answered in between.
final class Recommendation {
  /// Items scored as one batch.
  static let chunkItems = 512

  let task: Int
  let items: [CatalogItem]
  let request: FeaturePart
  let excluded: Set<UInt64>
  var next = 0
  var best: TopItems

  init(task: Int, items: [CatalogItem], request: FeaturePart, excluded: Set<UInt64>, best: TopItems) {
    self.task = task
    self.items = items
    self.request = request
    self.excluded = excluded
    self.best = best
  }

  /// Ids and scores, best first.
  var result: [(id: String, score: Double)] { best.sorted.map { (items[$0.item].key, $0.score) } }
}

extension ServingEngine {
  func beginRecommendation(
    model name: String, fields: [RequestField], topK: Int, exclude: [String]
  ) throws(WireError) -> Recommendation {
    let task = try task(named: name)
    try checkReady()
    let named = try resolve(fields)
    if let field = named.first(where: { $0.side != .request }) {
      throw WireError(
        .err, "field `\(field.name)` is the item's, and RECOMMEND takes the items from the catalog; leave it out")
    }
    do throws(FeatureError) {
      var excluded: Set<UInt64> = []
      for id in exclude {
        scratch.reset()
        _ = try extractor.set(name: model.fields[model.itemKey].name, text: id, into: scratch)
        if let key = extractor.text(of: model.itemKey, in: scratch) {
          excluded.insert(Hashing.xxh3(UnsafeRawBufferPointer(key)))
        }
      }
      scratch.reset()
      for field in named { _ = try extractor.set(name: field.name, text: field.text, into: scratch) }
      let request = try extractor.copyRequestPart(scratch)
      let items = self.items.items
      let precedes = Self.order(of: model.fields[model.itemKey].type, items)
      statistics.requests += 1
      return Recommendation(
        task: task, items: items, request: request, excluded: excluded,
        best: TopItems(limit: topK, precedes: precedes))
    } catch {
      throw WireError(.err, error.message)
    }
  }

  /// Scores the next chunk of items.
  /// - Returns: Whether that was the last one.
  func advance(_ recommendation: Recommendation) throws(WireError) -> Bool {
    let isFirst = recommendation.next == 0
    batch.removeAll()
    let start = recommendation.next
    var scored: [Int] = []
    scored.reserveCapacity(Recommendation.chunkItems)
    do throws(FeatureError) {
      while recommendation.next < recommendation.items.count, recommendation.next - start < Recommendation.chunkItems,
        !batch.isFull
      {
        let item = recommendation.items[recommendation.next]
        recommendation.next += 1
        if recommendation.excluded.contains(item.keyHash) { continue }
        try extractor.combine(request: recommendation.request, item: item.part, into: &row, scratch)
        batch.append(row)
        scored.append(recommendation.next - 1)
      }
    } catch {
      throw WireError(.err, error.message)
    }
    if isFirst { noteUnknownUser() }
    statistics.candidates += UInt64(scored.count)
    let probabilities = scorer.probabilities(of: batch)
    let tasks = model.tasks.count
    for (number, item) in scored.enumerated() {
      recommendation.best.insert(
        TopItems.Entry(score: probabilities[number * tasks + recommendation.task], item: item))
    }
    return recommendation.next == recommendation.items.count
  }

  /// Ties go by id: numbers by value, texts by their bytes.
  static func order(of type: FieldSpec.ValueType, _ items: [CatalogItem]) -> (Int, Int) -> Bool {
    switch type {
    case .integer: { Int64(items[$0].key) ?? 0 < Int64(items[$1].key) ?? 0 }
    case .float: { Double(items[$0].key) ?? 0 < Double(items[$1].key) ?? 0 }
    case .string: { items[$0].key.utf8.lexicographicallyPrecedes(items[$1].key.utf8) }
    }
  }
}
