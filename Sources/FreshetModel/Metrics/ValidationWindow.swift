import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Progressive validation of a stretch of the stream for one task: sums, and a histogram of logits by label.
///
/// Windows add up: merging those of all partitions gives the metrics of the whole stream.
public struct ValidationWindow: Sendable, Equatable {
  /// How far apart logits may be that count as ties.
  public enum Resolution: Sendable, Equatable {
    /// 1/128, in 32 KiB.
    case fine
    /// 1/16, in 4 KiB.
    case coarse

    fileprivate var shift: Int { self == .fine ? 0 : 3 }
  }

  private let resolution: Resolution
  public private(set) var count: UInt64 = 0
  public private(set) var positives: UInt64 = 0
  /// Sum of the log losses, in nats.
  public private(set) var loss: Double = 0
  /// Sum of the predicted probabilities.
  public private(set) var predicted: Double = 0
  /// `2 × bucket` counts negatives, `2 × bucket + 1` positives. Empty until the first prediction.
  private var histogram: [UInt32] = []

  public init() { resolution = .fine }

  public init(_ resolution: Resolution) { self.resolution = resolution }

  /// Whether nothing has been added, not even what a correction takes back.
  public var isEmpty: Bool { count == 0 && loss == 0 && predicted == 0 }

  public mutating func add(_ prediction: Prediction) {
    if histogram.isEmpty {
      histogram = [UInt32](repeating: 0, count: 2 * (Prediction.bucketCount >> resolution.shift))
    }
    count += 1
    positives += prediction.isPositive ? 1 : 0
    histogram[2 * (prediction.bucket >> resolution.shift) + (prediction.isPositive ? 1 : 0)] &+= 1
  }

  /// Begins anew, in the memory that there is.
  public mutating func removeAll() {
    count = 0
    positives = 0
    loss = 0
    predicted = 0
    for index in histogram.indices { histogram[index] = 0 }
  }

  /// Adds the exact sums that belong to predictions added one by one.
  public mutating func addSums(loss: Double, predicted: Double) {
    self.loss += loss
    self.predicted += predicted
  }

  /// - Precondition: Both are of one resolution.
  public mutating func merge(_ other: ValidationWindow) {
    precondition(resolution == other.resolution)
    count += other.count
    positives += other.positives
    loss += other.loss
    predicted += other.predicted
    guard !other.histogram.isEmpty else { return }
    if histogram.isEmpty {
      histogram = other.histogram
    } else {
      for index in histogram.indices { histogram[index] &+= other.histogram[index] }
    }
  }

  /// Area under the ROC curve: the probability that a random positive scores above a random negative; ties count half.
  /// nil without both classes.
  ///
  /// Logits in one bucket, at most 1/128 apart, or 1/16 in a coarse window, count as ties. `aucErrorBound` says what that can cost at the most.
  public var auc: Double? {
    let (above, tied, pairs) = pairCounts
    return pairs > 0 ? (above + tied / 2) / pairs : nil
  }

  /// The exact AUC lies within this of `auc`: half the share of pairs that share a bucket.
  public var aucErrorBound: Double? {
    let (_, tied, pairs) = pairCounts
    return pairs > 0 ? tied / 2 / pairs : nil
  }

  private var pairCounts: (above: Double, tied: Double, pairs: Double) {
    var negativesBelow = 0.0
    var above = 0.0
    var tied = 0.0
    for bucket in 0..<histogram.count / 2 {
      let negatives = Double(histogram[2 * bucket])
      let positives = Double(histogram[2 * bucket + 1])
      above += positives * negativesBelow
      tied += positives * negatives
      negativesBelow += negatives
    }
    return (above, tied, Double(positives) * Double(count - positives))
  }

  /// Mean log loss in nats, nil without examples.
  public var logloss: Double? { count > 0 ? loss / Double(count) : nil }

  /// Log loss over the entropy of the labels (He et al. 2014); below 1 is better than knowing only the base rate.
  public var normalizedEntropy: Double? {
    Self.normalizedEntropy(loss: loss, positives: positives, count: count)
  }

  /// - Parameter loss: Sum of the log losses of `count` examples, in nats.
  public static func normalizedEntropy(loss: Double, positives: UInt64, count: UInt64) -> Double? {
    guard positives > 0, positives < count else { return nil }
    let rate = Double(positives) / Double(count)
    return loss / Double(count) / -(rate * log(rate) + (1 - rate) * log(1 - rate))
  }

  /// Predicted positives over real ones; 1 is calibrated.
  public var calibration: Double? { positives > 0 ? predicted / Double(positives) : nil }

  // MARK: - Encoding

  /// - Precondition: The window is fine.
  public func encode(into writer: inout BinaryWriter) {
    precondition(resolution == .fine)
    writer.write(count)
    writer.write(positives)
    writer.write(loss)
    writer.write(predicted)
    writer.write(UInt8(histogram.isEmpty ? 0 : 1))
    histogram.withUnsafeBytes { writer.write($0) }
  }

  public init(from reader: inout BinaryReader) throws(MalformedBlob) {
    resolution = .fine
    count = try reader.read()
    positives = try reader.read()
    loss = try reader.readDouble()
    predicted = try reader.readDouble()
    guard positives <= count else { throw reader.malformed("\(positives) positives of \(count)") }
    switch try reader.read(UInt8.self) {
    case 0: break
    case 1:
      let raw = try reader.readBytes(2 * Prediction.bucketCount * 4)
      histogram = (0..<2 * Prediction.bucketCount).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self) }
    case let flag: throw reader.malformed("histogram flag \(flag)")
    }
  }
}
