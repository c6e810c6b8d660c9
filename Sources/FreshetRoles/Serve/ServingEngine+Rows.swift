import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire

/// How the rows of a request differ.
struct RowPlan {
  var count: Int
  var task: Int
  /// Whether the request's side differs from row to row.
  var requestPerRow: Bool
  /// Whether the request says more of the item than its key; that stands above the catalog.
  var saysItemFields: Bool
}

extension ServingEngine {
  /// Scores `plan.count` rows into `scores`.
  /// - Parameter fill: Puts the fields of one row and side into a scratch, which is empty.
  func score(
    _ plan: RowPlan, fill: (Int, FeatureExtractor.Fields, FeatureScratch) throws(FeatureError) -> Void
  ) throws(WireError) {
    var first = 0
    while first < plan.count {
      let run = first..<min(first + Self.runCandidates, plan.count)
      do throws(FeatureError) {
        try addRows(run, plan, fill)
      } catch {
        throw WireError(.err, error.message)
      }
      let tasks = model.tasks.count
      let probabilities = scorer.compute(candidates: run.count)
      for row in 0..<run.count { scores[first + row] = probabilities[row &* tasks &+ plan.task] }
      if first == 0 { noteUnknownUser(request: 0) }
      first = run.upperBound
    }
    statistics.requests += 1
    statistics.candidates += UInt64(plan.count)
  }

  private func addRows(
    _ run: Range<Int>, _ plan: RowPlan,
    _ fill: (Int, FeatureExtractor.Fields, FeatureScratch) throws(FeatureError) -> Void
  ) throws(FeatureError) {
    scorer.begin(requests: plan.requestPerRow ? run.count : 1, candidates: run.count)
    // What a request says of items is read with their records; and crosses need both sides of a row at once.
    if plan.saysItemFields || (plan.requestPerRow && scorer.hasMixedSlots) {
      for row in run {
        if plan.requestPerRow || row == run.lowerBound { try addRequest(row, fill) }
        try addItem(row, run, plan, fill)
      }
      reader.read { view in
        scorer.enter(view)
        scorer.gather(view)
      }
    } else {
      for row in plan.requestPerRow ? run : run.prefix(1) { try addRequest(row, fill) }
      try findKeys(run, fill)
      try addCatalogItems(run, plan)
      try addUnknownItems(run, plan, fill)
    }
  }

  private func addRequest(
    _ row: Int, _ fill: (Int, FeatureExtractor.Fields, FeatureScratch) throws(FeatureError) -> Void
  ) throws(FeatureError) {
    scratch.reset()
    try fill(row, .request, scratch)
    try completeRequest()
    let part = try extractor.requestPart(scratch).baseAddress!
    requestPart = part
    scorer.addRequest(part)
  }

  /// Adds to the request in the scratch what is known of its user and of other keys.
  func completeRequest() throws(FeatureError) {
    guard !model.enrichments.isEmpty else { return }
    let unknown = try extractor.complete(scratch, itemReader) { enrichment, key in
      reader.read { _ in catalog.enrichments[enrichment].item(hash: key) }
    }
    statistics.unknownEnrichments += UInt64(unknown.nonzeroBitCount)
  }

  // MARK: - Items by their keys

  private func findKeys(
    _ run: Range<Int>, _ fill: (Int, FeatureExtractor.Fields, FeatureScratch) throws(FeatureError) -> Void
  ) throws(FeatureError) {
    for row in run {
      itemScratch.reset()
      try fill(row, .item, itemScratch)
      noteKey(row - run.lowerBound)
    }
  }

  /// Keeps what the catalog knows the item in `itemScratch` by.
  @inline(__always)
  func noteKey(_ number: Int) {
    let key = extractor.text(of: model.itemKey, in: itemScratch)
    hasKeys[number] = key != nil
    if let key { keyHashes[number] = Hashing.xxh3(UnsafeRawBufferPointer(key)) }
  }

  /// Adds the rows whose items the catalog has, and gathers what has been added; the others are in `unknown` then.
  private func addCatalogItems(_ run: Range<Int>, _ plan: RowPlan) throws(FeatureError) {
    unknown.removeAll(keepingCapacity: true)
    try reader.read { (view) throws(FeatureError) in
      scorer.enter(view)
      let items = catalog.items
      for number in 0..<run.count {
        let position = hasKeys[number] ? items.position(hash: keyHashes[number]) : -1
        guard position >= 0, let item = items.place(at: position) else {
          unknown.append(number)
          continue
        }
        scorer.addCandidate(
          number, request: plan.requestPerRow ? number : 0, item: item.part, position: position,
          revision: item.revision)
        try addMixed(number, item: item.part)
      }
      scorer.gather(view)
    }
  }

  /// Adds the rows whose items have a key alone, or not even that.
  private func addUnknownItems(
    _ run: Range<Int>, _ plan: RowPlan,
    _ fill: (Int, FeatureExtractor.Fields, FeatureScratch) throws(FeatureError) -> Void
  ) throws(FeatureError) {
    guard !unknown.isEmpty else { return }
    for number in unknown {
      if hasKeys[number] { statistics.unknownItems += 1 }
      itemScratch.reset()
      try fill(run.lowerBound + number, .item, itemScratch)
      let part = try extractor.itemPart(itemScratch).baseAddress!
      scorer.addCandidate(number, request: plan.requestPerRow ? number : 0, item: part)
      try addMixed(number, item: part)
    }
    reader.read { scorer.gather($0) }
  }

  func addMixed(_ number: Int, item part: UnsafeRawPointer) throws(FeatureError) {
    guard scorer.hasMixedSlots, let requestPart else { return }
    scorer.addMixed(number, try extractor.mixedPart(request: requestPart, item: part, scratch))
  }

  // MARK: - Items that the request describes

  /// Adds one row whose item's side comes from the catalog, from the request, or from both.
  private func addItem(
    _ row: Int, _ run: Range<Int>, _ plan: RowPlan,
    _ fill: (Int, FeatureExtractor.Fields, FeatureScratch) throws(FeatureError) -> Void
  ) throws(FeatureError) {
    itemScratch.reset()
    try fill(row, .item, itemScratch)
    if let key = extractor.text(of: model.itemKey, in: itemScratch) {
      let hash = Hashing.xxh3(UnsafeRawBufferPointer(key))
      if let known = reader.read({ _ in catalog.items.item(hash: hash) }) {
        itemScratch.reset()
        try readCatalogRecord(known)
        try fill(row, .item, itemScratch)
      } else {
        statistics.unknownItems += 1
      }
    }
    let number = row - run.lowerBound
    let part = try extractor.itemPart(itemScratch).baseAddress!
    scorer.addCandidate(number, request: plan.requestPerRow ? number : 0, item: part)
    try addMixed(number, item: part)
  }

  private func readCatalogRecord(_ item: CatalogItem) throws(FeatureError) {
    let result = item.json.withUnsafeBytes { bytes in
      Result { () throws(FeatureError) in
        // It was parsed when it came, so it does so again.
        guard let object = try? itemReader.parse(bytes) else { return }
        try extractor.read(object, .item, into: itemScratch)
      }
    }
    try result.get()
  }
}
