import FreshetCore
import FreshetModel
import FreshetWire

/// A `SCORE` of a burst that is scored together with others.
struct BurstPart {
  /// Its number in the burst.
  let request: Int
  let form: ScoreForm
  /// The run's number of its first row.
  let firstRow: Int

  var rows: Range<Int> { firstRow..<firstRow + form.plan.count }
}

extension ServingEngine {
  /// The most words of the requests of a burst together: no row is without a word, so all of their rows fit one run.
  static let burstWords = runCandidates

  /// Whether requests of this model can be scored together. Crosses of requests with items need each request's features at hand.
  var scoresBursts: Bool { !scorer.hasMixedSlots }

  /// Scores several `SCORE`s, as one after the other would be and with the same bits, but with one look at the copy and one pass
  /// through the network for all of them.
  ///
  /// Requests that say more of an item than its key, or differ in more than the item from row to row, are scored after the
  /// others, each by itself.
  /// - Parameters:
  ///   - requests: Of `burstWords` words together at most.
  ///   - answer: Called once for each request, with its number, not in order; its scores are valid during the call.
  func score(
    _ requests: ContiguousArray<RESPRequest>, answer: (Int, Result<ScoredRequest, WireError>) -> Void
  ) {
    burstParts.removeAll(keepingCapacity: true)
    burstRest.removeAll(keepingCapacity: true)
    scorer.begin(requests: requests.count, candidates: Self.runCandidates)
    for number in requests.indices {
      do throws(WireError) {
        if !(try addToBurst(requests[number], number)) { burstRest.append(number) }
      } catch {
        answer(number, .failure(error))
      }
    }
    do throws(FeatureError) {
      try scoreParts(of: requests)
      for part in burstParts {
        answer(
          part.request,
          .success(ScoredRequest(first: part.firstRow, count: part.form.plan.count, isSingle: part.form.isSingle)))
      }
    } catch {
      // Which of them it was about comes out when each is scored by itself.
      burstRest += burstParts.map(\.request)
    }
    for number in burstRest {
      do throws(WireError) {
        answer(number, .success(try score(requests[number])))
      } catch {
        answer(number, .failure(error))
      }
    }
  }

  /// Adds a request's own features to the run, and the keys of its items to `keyHashes`.
  /// - Returns: False for a request that cannot be scored with others; nothing of it is added.
  private func addToBurst(_ request: RESPRequest, _ number: Int) throws(WireError) -> Bool {
    let words = try ScoreWords(request, limits: limits)
    let firstRow = burstParts.last?.rows.upperBound ?? 0
    return try request.withArguments { (arguments) throws(WireError) in
      let form = try form(arguments, words)
      try checkReady()
      guard !form.plan.requestPerRow, !form.plan.saysItemFields else { return false }
      do throws(FeatureError) {
        scratch.reset()
        try fill(0, .request, scratch, form, arguments)
        try completeRequest()
        let part = try extractor.requestPart(scratch).baseAddress!
        for row in 0..<form.plan.count {
          itemScratch.reset()
          try fill(row, .item, itemScratch, form, arguments)
          noteKey(firstRow + row)
        }
        scorer.addRequest(part)
      } catch {
        throw WireError(.err, error.message)
      }
      burstParts.append(BurstPart(request: number, form: form, firstRow: firstRow))
      return true
    }
  }

  /// Scores what has been added into `scores`, by the run's rows.
  private func scoreParts(of requests: ContiguousArray<RESPRequest>) throws(FeatureError) {
    guard let rows = burstParts.last?.rows.upperBound else { return }
    unknown.removeAll(keepingCapacity: true)
    reader.read { view in
      scorer.enter(view)
      let items = catalog.items
      for (request, part) in burstParts.enumerated() {
        for row in part.rows {
          let position = hasKeys[row] ? items.position(hash: keyHashes[row]) : -1
          guard position >= 0, let item = items.place(at: position) else {
            unknown.append(row)
            continue
          }
          scorer.addCandidate(row, request: request, item: item.part, position: position, revision: item.revision)
        }
      }
      scorer.gather(view)
    }
    try addUnknownItems(of: requests)
    let tasks = model.tasks.count
    let probabilities = scorer.compute(candidates: rows)
    for (request, part) in burstParts.enumerated() {
      for row in part.rows { scores[row] = probabilities[row &* tasks &+ part.form.plan.task] }
      noteUnknownUser(request: request)
    }
    for row in unknown where hasKeys[row] { statistics.unknownItems += 1 }
    statistics.requests += UInt64(burstParts.count)
    statistics.candidates += UInt64(rows)
  }

  /// Adds the rows in `unknown`, whose items have a key alone, or not even that.
  private func addUnknownItems(of requests: ContiguousArray<RESPRequest>) throws(FeatureError) {
    guard !unknown.isEmpty else { return }
    var position = 0
    for (number, part) in burstParts.enumerated() {
      guard position < unknown.count, part.rows.contains(unknown[position]) else { continue }
      try requests[part.request].withArguments { (arguments) throws(FeatureError) in
        while position < unknown.count, part.rows.contains(unknown[position]) {
          let row = unknown[position]
          itemScratch.reset()
          try fill(row - part.firstRow, .item, itemScratch, part.form, arguments)
          scorer.addCandidate(row, request: number, item: try extractor.itemPart(itemScratch).baseAddress!)
          position += 1
        }
      }
    }
    reader.read { scorer.gather($0) }
  }
}
