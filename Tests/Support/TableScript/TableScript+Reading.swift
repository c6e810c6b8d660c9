import FreshetCore
import FreshetTable

extension TableScript {
  mutating func gather(_ given: [Fid]) throws {
    // The first one comes twice.
    let fids = given + given.prefix(1)
    var output = [Float](repeating: .nan, count: fids.count * layout.width)
    fids.withUnsafeBufferPointer { fids in
      output.withUnsafeMutableBufferPointer { table.gather(fids, into: $0.baseAddress!) }
    }
    try output.withUnsafeBufferPointer { output in
      for (position, fid) in fids.enumerated() {
        let expected = model.floats(fid) ?? model.initial(fid)
        let weights = output.baseAddress! + position * layout.width
        try expect(areEqual(weights, expected), "fid \(fid) was gathered with other weights")
      }
    }
  }

  mutating func contains(_ fids: [Fid]) throws {
    var answers = [Bool](repeating: false, count: fids.count)
    fids.withUnsafeBufferPointer { fids in
      answers.withUnsafeMutableBufferPointer { table.contains(fids, into: $0.baseAddress!) }
    }
    for (fid, answer) in zip(fids, answers) {
      try expect(answer == (model.floats(fid) != nil), "fid \(fid): contains says \(answer)")
      try expect(table.contains(fid) == answer, "fid \(fid): contains says one thing alone and another in a batch")
    }
  }

  mutating func readSingly(_ fids: [Fid]) throws {
    var weights = [Float](repeating: .nan, count: layout.width)
    for fid in fids {
      let floats = model.floats(fid)
      let exists = weights.withUnsafeMutableBufferPointer { table.copyWeights(of: fid, into: $0.baseAddress!) }
      try expect(exists == (floats != nil), "fid \(fid): copyWeights says \(exists)")
      try expect(areEqual(weights, floats ?? model.initial(fid)), "fid \(fid) was copied with other weights")
      let row = table.row(fid)
      try expect(row?.count == floats?.count, "fid \(fid) has \(row?.count ?? 0) floats")
      // State has been compared when it was written, except where a row began with its assignment.
      for (value, expected) in zip(row ?? [], floats ?? []) {
        try expect(abs(value - expected) <= 2e-6 * max(1, abs(expected)), "fid \(fid): \(value), expected \(expected)")
      }
    }
  }

  // MARK: - Feeds

  mutating func takeTouched(feed: Int) throws {
    budget -= model.rows.count / 64
    let count = table.touchedCount(feed: feed)
    var seen = Set<Fid>()
    var failure: ScriptFailure?
    table.takeTouched(feed: feed) { fid, weights in
      if !seen.insert(fid).inserted { failure = fail("fid \(fid) was touched twice") }
      if !hasWeights(fid, weights) { failure = fail("fid \(fid) was touched with other weights") }
    }
    if let failure { throw failure }
    try expect(seen == model.touched[feed], "feed \(feed) got other rows than were touched")
    try expect(seen.count == count, "feed \(feed) was promised \(count) rows and got \(seen.count)")
    model.touched[feed] = []
  }

  mutating func takeRemoved(feed: Int) throws {
    let removed = table.takeRemoved(feed: feed)
    let expected = model.takeRemoved(feed: feed)
    try expect(removed == expected, "feed \(feed) got \(removed.count) tombstones, expected \(expected.count)")
  }

  /// A scan with other operations between its chunks: no row that was there all the time may be missing.
  mutating func scan(limit: Int) throws {
    // Within a scan, another one would lose track of which rows lasted.
    guard model.lasting == nil else { return }
    model.lasting = Set(model.rows.keys)
    defer { model.lasting = nil }
    let limit = max(limit, model.rows.count / 16)
    var seen = Set<Fid>()
    var cursor: Int? = 0
    var chunks = 0
    while let from = cursor {
      var failure: ScriptFailure?
      var visited = 0
      cursor = table.scan(from: from, limit: limit) { fid, weights in
        visited += 1
        seen.insert(fid)
        if model.rows[fid] == nil { failure = fail("a scan saw fid \(fid), which has no row") }
        if !hasWeights(fid, weights) { failure = fail("a scan saw other weights of fid \(fid)") }
      }
      if let failure { throw failure }
      try expect(visited <= limit, "a scan visited \(visited) rows at a limit of \(limit)")
      chunks += 1
      if !bytes.isAtEnd { try perform(bytes.next()) }
      if chunks > 64 { return }
    }
    try expect(model.lasting!.isSubset(of: seen), "a scan missed rows that were there from first to last")
  }
}
