import FreshetCore

/// How points of a series become one point of a longer step.
enum SeriesFold: Sendable {
  case mean
  case maximum
}

/// The past of some figures in a bounded ring: one point a step, `capacity` of them.
struct HistoryRing: Sendable {
  struct Point: Sendable, Equatable {
    /// Counts points, from 0.
    let number: Int
    let time: UnixTime
    /// In the order of the series; nil where there is no figure.
    let values: [Double?]
  }

  let capacity: Int
  let stepMs: Int
  var spanMs: Int { capacity * stepMs }
  private var slots: [Point] = []
  /// Of the next point.
  private(set) var next = 0

  init(capacity: Int, stepMs: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
    self.stepMs = stepMs
  }

  mutating func append(_ values: [Double?], at time: UnixTime) {
    let point = Point(number: next, time: time, values: values)
    if slots.count < capacity { slots.append(point) } else { slots[next % capacity] = point }
    next += 1
  }

  /// Those behind a number, oldest first.
  func points(after number: Int) -> [Point] {
    let first = max(number + 1, next - slots.count)
    return first < next ? (first..<next).map { slots[$0 % capacity] } : []
  }
}

/// Two rings: every point of the last minutes, and a point for each `coarseFactor` of them for a day.
struct History: Sendable {
  static let capacity = 720
  static let coarseFactor = 120

  let series: [(name: String, fold: SeriesFold)]
  private(set) var fine: HistoryRing
  private(set) var coarse: HistoryRing
  private var pending: [[Double?]] = []

  init(series: [(name: String, fold: SeriesFold)], stepMs: Int) {
    self.series = series
    fine = HistoryRing(capacity: Self.capacity, stepMs: stepMs)
    coarse = HistoryRing(capacity: Self.capacity, stepMs: stepMs * Self.coarseFactor)
  }

  mutating func append(_ values: [Double?], at time: UnixTime) {
    precondition(values.count == series.count)
    fine.append(values, at: time)
    pending.append(values)
    guard pending.count == Self.coarseFactor else { return }
    coarse.append(series.indices.map { folded($0) }, at: time)
    pending.removeAll(keepingCapacity: true)
  }

  private func folded(_ column: Int) -> Double? {
    let values = pending.compactMap { $0[column] }
    guard !values.isEmpty else { return nil }
    switch series[column].fold {
    case .mean: return values.reduce(0, +) / Double(values.count)
    case .maximum: return values.max()
    }
  }
}
