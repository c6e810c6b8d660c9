#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Binary cross-entropy on logits.
public enum LogisticLoss {
  public static func sigmoid(_ logit: Float) -> Float { 1 / (1 + expf(-logit)) }

  /// `−y ln p − (1 − y) ln(1 − p)` for `p = sigmoid(logit)`, without overflow for any finite logit.
  public static func loss(logit: Double, label: Double) -> Double {
    max(logit, 0) - logit * label + log1p(exp(-abs(logit)))
  }

  /// The logit of a model trained on a stream whose negatives were kept with probability `rate`, as that stream sees it.
  ///
  /// Dropping negatives multiplies the odds by `1 / rate`. Training against `logit + ln(1 / rate)` therefore leaves the
  /// model's own logit calibrated for the stream before sampling, and serving uses it as it is.
  public static func sampledLogit(_ logit: Float, negativeRate rate: Float) -> Float {
    rate == 1 ? logit : logit - logf(rate)
  }
}
