import FreshetCore

/// One example's features: the fids of each slot and the dense floats. Flat, and reusable without allocating.
public struct FeatureRow: Sendable, Equatable {
  public let slotCount: Int
  /// `slotCount + 1` positions in `fids`: slot `s` has `slotStarts[s] ..< slotStarts[s + 1]`.
  public internal(set) var slotStarts: [Int32]
  public internal(set) var fids: [Fid]
  public internal(set) var dense: [Float]

  public init(slotCount: Int, denseCount: Int) {
    self.slotCount = slotCount
    slotStarts = [Int32](repeating: 0, count: slotCount + 1)
    fids = []
    dense = [Float](repeating: 0, count: denseCount)
  }

  public init(_ spec: ModelSpec) {
    self.init(slotCount: spec.slots.count, denseCount: spec.denseFeatures.count)
  }

  public func fids(slot: Int) -> ArraySlice<Fid> { fids[Int(slotStarts[slot])..<Int(slotStarts[slot + 1])] }
}
