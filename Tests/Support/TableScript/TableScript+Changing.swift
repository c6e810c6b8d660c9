import FreshetCore
import FreshetTable

extension TableScript {
  mutating func update(_ fids: [Fid]) throws {
    if layout.optimizer == .weightsOnly { return try assign(fids) }
    let time = eventTime()
    let gradients = gradients(fids.count)
    fids.withUnsafeBufferPointer { table.update($0, gradients: gradients, minutes: time) }
    model.advanceClock(time)
    var expected: [(fid: Fid, before: ReferenceRow, gradient: [Float])] = []
    for (position, fid) in fids.enumerated() {
      let gradient = Array(gradients[position * layout.width..<(position + 1) * layout.width])
      guard gradient.allSatisfy(\.isFinite) else {
        model.statistics.nonFiniteGradients += 1
        // A row stays as it is, but for its time.
        if model.floats(fid) != nil { model.change(fid, minutes: time) }
        continue
      }
      guard try isAdmitted(fid) else {
        model.statistics.rejected += 1
        continue
      }
      model.statistics.updates += 1
      let before = model.beginning(fid)
      model.change(fid, minutes: time)
      expected.append((fid, before, gradient))
    }
    try followEvictions()
    for (fid, before, gradient) in expected {
      guard let row = model.rows[fid] else { continue }
      let actual = table.row(fid)
      try expect((actual != nil) != model.isExpired(row.minutes), "fid \(fid) has a row or not, the wrong way round")
      if let actual { try check(actual, before, gradient, fid) }
      model.write(fid, actual)
    }
  }

  mutating func assign(_ fids: [Fid]) throws {
    let time = eventTime()
    random = SeededGenerator(seed: UInt64(bytes.next()))
    let scale = bytes.choose([1, 1, 1, 0.001, 1e5] as [Float])
    var values: [Float] = []
    values.reserveCapacity(fids.count * layout.width)
    for _ in 0..<fids.count * layout.width { values.append((Float(random.next() >> 40) * 0x1p-23 - 1) * scale) }
    fids.withUnsafeBufferPointer { table.assign($0, weights: values, minutes: time) }
    model.advanceClock(time)
    for (position, fid) in fids.enumerated() {
      var state = Array(model.floats(fid)?.dropFirst(layout.width) ?? [])
      if model.floats(fid) == nil && layout.optimizer.stateWidth(for: layout.width) > 0 {
        state = model.beginning(fid).state.map(Float.init)
      }
      model.change(fid, minutes: time)
      var weights: [Float] = []
      for column in 0..<layout.width {
        weights.append(layout.weightFormat.nearest(values[position * layout.width + column]))
      }
      model.write(fid, model.isExpired(model.rows[fid]!.minutes) ? nil : weights + state)
    }
    try followEvictions()
  }

  mutating func remove(_ fids: [Fid]) throws {
    let count = fids.withUnsafeBufferPointer { table.remove($0) }
    let expected = fids.count { model.remove($0) }
    try expect(count == expected, "\(count) rows removed, expected \(expected)")
  }

  mutating func removeRows(updatedBefore time: UInt32) throws {
    budget -= model.rows.count / 8
    let old = model.rows.filter { $0.value.minutes < time }.keys
    let count = table.removeRows(updatedBefore: time)
    try expect(count == old.count, "\(count) old rows removed, expected \(old.count)")
    for fid in old { model.remove(fid) }
  }

  /// Two passes: the first may have begun before rows expired.
  mutating func sweepToTheEnd() throws {
    for _ in 0..<2 {
      var calls = 0
      while !table.sweepExpired() {
        calls += 1
        try expect(calls <= model.rows.count / 256 + 2, "a sweep does not come to its end")
      }
    }
    for (fid, row) in model.rows where model.isExpired(row.minutes) {
      model.remove(fid)
      model.statistics.expired += 1
    }
  }

  mutating func sweepOnce() throws {
    budget -= model.rows.count / 4
    _ = table.sweepExpired()
    let left = try physicalRows(compared: true)
    for (fid, row) in model.rows where !left.contains(fid) {
      try expect(model.isExpired(row.minutes), "the sweep took fid \(fid), which has not expired")
      model.remove(fid)
      model.statistics.expired += 1
    }
  }

  // MARK: - Arguments

  /// Mostly now; sometimes the time of an example that comes late, but not where it would be open whether it was admitted.
  private mutating func eventTime() -> UInt32 {
    let late = bytes.next()
    return layout.admission == .everything && late % 8 == 0 ? minutes - UInt32(late / 8) : minutes
  }

  private mutating func gradients(_ count: Int) -> [Float] {
    let shape = bytes.next()
    random = SeededGenerator(seed: UInt64(shape))
    let scale: Float = [1, 1, 0.01, 100][shape % 4]
    var gradients: [Float] = []
    gradients.reserveCapacity(count * layout.width)
    for _ in 0..<count * layout.width { gradients.append((Float(random.next() >> 40) * 0x1p-23 - 1) * scale) }
    let spoilt = bytes.next()
    if spoilt % 8 == 0 {
      gradients[spoilt * 37 % gradients.count] = [.nan, .infinity, -.infinity, .signalingNaN][spoilt / 8 % 4]
    }
    if spoilt % 16 == 1 { for column in gradients.indices where column % 3 == 0 { gradients[column] = 0 } }
    return gradients
  }

  // MARK: - What the table decides

  /// Whether a fid whose gradient has been applied, or not, is admitted: as the table decided, if it had the right to.
  private mutating func isAdmitted(_ fid: Fid) throws -> Bool {
    if layout.admission == .everything || model.floats(fid) != nil { return true }
    let count = model.ask(fid)
    let admitted = table.contains(fid)
    if case .minimumCount(let minimum, let sketchBytes) = layout.admission, !admitted {
      // Every eighth question halves a line of the sketch, so before the first round is over each counter has been
      // halved at most once.
      let round = sketchBytes / 64 * 8
      let least = model.askedCount < 8 ? count : (count - 1) / 2 + 1
      try expect(
        model.askedCount > round || least < minimum, "fid \(fid) was not admitted at its update number \(count)")
    }
    return admitted
  }

  /// Removes the rows that the table has evicted, if as many as there had to be.
  private mutating func followEvictions() throws {
    guard let limit = layout.expiry.maximumRows, model.rows.count > limit else { return }
    let left = try physicalRows(compared: false)
    try expect(left.count == limit, "\(left.count) rows left at a limit of \(limit)")
    for fid in model.rows.keys where !left.contains(fid) {
      model.remove(fid)
      model.statistics.evicted += 1
    }
  }

  // MARK: - Optimizer steps

  /// Compares a row with the reference's single step from what it was before.
  private func check(_ actual: [Float], _ before: ReferenceRow, _ gradient: [Float], _ fid: Fid) throws {
    var expected = before
    expected.update(gradient, optimizer: layout.optimizer, rules: layout.gradientRules)
    let width = layout.width
    try expect(actual.count == width + expected.state.count, "fid \(fid) has \(actual.count) floats")
    let rate = Double(layout.optimizer.learningRate)
    let nudged = nudged(before, gradient)
    for column in 0..<width {
      let first = before.state.isEmpty ? 0 : abs(before.state[column])
      let scale =
        abs(before.weights[column]) + abs(expected.weights[column])
        + rate * (1 + abs(Double(gradient[column])) + first)
      let tolerance = 2e-6 * scale + abs(nudged.weights[column] - expected.weights[column])
      let value = actual[column]
      var isRight = abs(Double(value) - expected.weights[column]) <= tolerance
      if layout.weightFormat != .float32 {
        let lowest = layout.weightFormat.neighbours(expected.weights[column] - tolerance).lowerBound
        let highest = layout.weightFormat.neighbours(expected.weights[column] + tolerance).upperBound
        isRight = lowest <= value && value <= highest
      }
      try expect(isRight, "weight \(column) of fid \(fid) is \(value), expected \(expected.weights[column])")
    }
    for position in expected.state.indices {
      let column = position % width
      let g = abs(Double(gradient[column]))
      var scale = abs(before.state[position]) + abs(expected.state[position]) + g + g * g
      if case .ftrl = layout.optimizer {
        scale += expected.state[width + column].squareRoot() / rate * abs(before.weights[column])
      }
      let value = Double(actual[width + position])
      let tolerance = 2e-6 * scale + abs(nudged.state[position] - expected.state[position])
      try expect(
        abs(value - expected.state[position]) <= tolerance,
        "state \(position) of fid \(fid) is \(value), expected \(expected.state[position])")
    }
  }

  /// The step of a gradient that is off by a few roundings. Where the gradient and the pull of l2 nearly cancel, what is left
  /// of them may be all rounding, and some optimizers take a long step however small that is.
  private func nudged(_ before: ReferenceRow, _ gradient: [Float]) -> ReferenceRow {
    var row = before
    let rules = layout.gradientRules
    let nudged = gradient.indices.map { column in
      gradient[column] + 4e-7 * (abs(gradient[column]) + rules.l2 * abs(Float(before.weights[column])))
    }
    row.update(nudged, optimizer: layout.optimizer, rules: rules)
    return row
  }
}
