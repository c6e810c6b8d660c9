import FreshetCore

/// Where a topic begins and ends, and how far its reader has come, by partition.
public struct TopicFigures: Sendable {
  public var starts: [Int: Int64]
  public var ends: [Int: Int64]
  /// What the reader's group has committed; nil where a topic's readers say it themselves.
  public var committed: [Int: Int64]?

  public init(starts: [Int: Int64], ends: [Int: Int64], committed: [Int: Int64]?) {
    self.starts = starts
    self.ends = ends
    self.committed = committed
  }

  var end: Int64 { ends.values.reduce(0, +) }

  /// Offsets between `positions` and the ends.
  /// - Parameter isTransactional: The last offset of a topic that is written in transactions is the mark of one, which is no record.
  func waiting(behind positions: [Int: Int64], isTransactional: Bool) -> Int64 {
    ends.reduce(0) { sum, end in
      let last = isTransactional ? end.value - 1 : end.value
      return sum + max(0, last - max(positions[end.key] ?? 0, starts[end.key] ?? 0))
    }
  }
}

/// One look at the broker.
public struct LogFigures: Sendable {
  /// By purpose, as `ClusterDescription.Topics.all` has them.
  public var topics: [String: TopicFigures]

  public init(topics: [String: TopicFigures]) { self.topics = topics }
}
