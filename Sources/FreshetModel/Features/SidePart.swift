import FreshetCore

/// How to read what one side of a row holds, as `FeatureExtractor` writes it.
public struct SidePart: Sendable {
  public let slotCount: Int
  public let denseCount: Int
  let countsStart: Int
  let fidsStart: Int

  init(_ side: FeaturePlan.Side) {
    slotCount = side.slots.count
    denseCount = side.dense.count
    countsStart = side.countsStart
    fidsStart = side.fidsStart
  }

  /// Fids of all slots together.
  @inline(__always)
  public func fidCount(_ part: UnsafeRawPointer) -> Int { Int(part.load(as: UInt32.self)) }

  /// How many fids each slot has, `slotCount` bytes.
  @inline(__always)
  public func counts(_ part: UnsafeRawPointer) -> UnsafePointer<UInt8> {
    (part + countsStart).assumingMemoryBound(to: UInt8.self)
  }

  /// The slots' fids, one slot after the other.
  @inline(__always)
  public func fids(_ part: UnsafeRawPointer) -> UnsafePointer<Fid> {
    (part + fidsStart).assumingMemoryBound(to: Fid.self)
  }

  /// `denseCount` floats.
  @inline(__always)
  public func dense(_ part: UnsafeRawPointer) -> UnsafePointer<Float> {
    (part + FeaturePlan.Side.denseStart).assumingMemoryBound(to: Float.self)
  }
}
