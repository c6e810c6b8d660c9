/// Which fids get a row. A fid without a row is read as its initial value, and its gradients are dropped.
public enum AdmissionSpec: Sendable, Equatable {
  case everything
  /// From the update on that makes it the `count`-th, in `2...255`, as far as a counting sketch remembers. The sketch has
  /// `sketchBytes` on each shard, at least 64.
  case minimumCount(Int, sketchBytes: Int)
  /// With each update, with this probability, above 0 and below 1.
  case probability(Double)

  public static let defaultSketchBytes = 256 << 10
}
