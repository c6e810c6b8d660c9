import FreshetCore

/// How far a partition has been joined, and from where the state can be rebuilt. Goes into the metadata of the offset
/// commit.
public struct JoinerCommitPoint: Sendable, Equatable {
  /// The smallest offset of `features` that the state is made of; at most `featureNext`.
  public var featureLow: Int64
  /// The first offset of `features` that has not been processed.
  public var featureNext: Int64
  public var actionLow: Int64
  public var actionNext: Int64
  /// The stream time: the largest event time processed. Nil before the first record.
  public var streamTimeMs: Int64?

  public init(featureLow: Int64, featureNext: Int64, actionLow: Int64, actionNext: Int64, streamTimeMs: Int64?) {
    self.featureLow = featureLow
    self.featureNext = featureNext
    self.actionLow = actionLow
    self.actionNext = actionNext
    self.streamTimeMs = streamTimeMs
  }

  /// Nothing has been processed; reading starts at these offsets or at the first ones there are.
  public static let start = JoinerCommitPoint(
    featureLow: 0, featureNext: 0, actionLow: 0, actionNext: 0, streamTimeMs: nil)

  /// `j1 featureLow featureNext actionLow actionNext streamTime`, at most 110 characters; `-` for no stream time.
  public var text: String {
    "j1 \(featureLow) \(featureNext) \(actionLow) \(actionNext) \(streamTimeMs.map(String.init) ?? "-")"
  }

  /// Reads what `text` wrote.
  public init(text: String) throws(JoinerError) {
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 6, parts[0] == "j1" else {
      throw JoinerError(code: "commit-text", message: "`\(text.prefix(200))` is no commit of a joiner (version j1)")
    }
    let numbers = parts[1...4].compactMap { Int64($0) }
    let time = Int64(parts[5])
    guard numbers.count == 4, time != nil || parts[5] == "-", numbers[0] >= 0, numbers[0] <= numbers[1],
      numbers[2] >= 0, numbers[2] <= numbers[3]
    else {
      throw JoinerError(code: "commit-text", message: "`\(text.prefix(200))` holds numbers that no joiner commits")
    }
    self.init(
      featureLow: numbers[0], featureNext: numbers[1], actionLow: numbers[2], actionNext: numbers[3],
      streamTimeMs: time)
  }
}
