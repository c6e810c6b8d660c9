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
  public private(set) var count: UInt64 = 0
  public private(set) var positives: UInt64 = 0
  /// Sum of the log losses, in nats.
  public private(set) var loss: Double = 0
  /// Sum of the predicted probabilities.
  public private(set) var predicted: Double = 0
  /// `2 × bucket` counts negatives, `2 × bucket + 1` positives. Empty until the first prediction.
  private var histogram: [UInt32] = []

  public init() {}

  public mutating func add(_ prediction: Prediction) {
    if histogram.isEmpty { histogram = [UInt32](repeating: 0, count: 2 * Prediction.bucketCount) }
    count += 1
    positives += prediction.isPositive ? 1 : 0
    histogram[2 * prediction.bucket + (prediction.isPositive ? 1 : 0)] &+= 1
  }

  /// Adds the exact sums that belong to predictions added one by one.
  public mutating func addSums(loss: Double, predicted: Double) {
    self.loss += loss
    self.predicted += predicted
  }

  public mutating func merge(_ other: ValidationWindow) {
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
  /// Logits in one bucket, at most 1/128 apart, count as ties. `aucErrorBound` says what that can cost at the most.
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
    guard let logloss, positives > 0, positives < count else { return nil }
    let rate = Double(positives) / Double(count)
    return logloss / -(rate * log(rate) + (1 - rate) * log(1 - rate))
  }

  /// Predicted positives over real ones; 1 is calibrated.
  public var calibration: Double? { positives > 0 ? predicted / Double(positives) : nil }

  // MARK: - Encoding

  public func encode(into writer: inout BinaryWriter) {
    writer.write(count)
    writer.write(positives)
    writer.write(loss)
    writer.write(predicted)
    writer.write(UInt8(histogram.isEmpty ? 0 : 1))
    histogram.withUnsafeBytes { writer.write($0) }
  }

  public init(from reader: inout BinaryReader) throws(MalformedBlob) {
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
