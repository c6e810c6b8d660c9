import FreshetCore

@testable import FreshetCluster
@testable import FreshetModel

/// A scorer that takes examples.
struct ScorerBench {
  let scorer: Scorer
  private let reader: ReplicaReader
  private let extractor: FeatureExtractor

  init(_ model: TestModel, _ reader: ReplicaReader, cacheBytes: Int = 1 << 20) throws {
    self.reader = reader
    extractor = try FeatureExtractor(model.spec)
    scorer = Scorer(reader: reader, extractor: extractor, cacheBytes: cacheBytes)
  }

  /// One side of an example, as the extractor writes it.
  private func part(_ side: RowSide, _ example: TestExample) -> [UInt64] {
    let layout = extractor.layout(of: side)
    let slots = extractor.sides[side].slots.map { example.slots[$0] }
    let fids = slots.flatMap { $0 }
    var part = [UInt64](repeating: 0, count: layout.fidsStart / 8)
    part.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: UInt32(fids.count), as: UInt32.self)
      for (number, feature) in extractor.sides[side].dense.enumerated() {
        bytes.storeBytes(
          of: example.dense[feature], toByteOffset: FeaturePlan.Side.denseStart + 4 * number, as: Float.self)
      }
      for (number, slot) in slots.enumerated() { bytes[layout.countsStart + number] = UInt8(slot.count) }
    }
    return part + fids
  }

  /// Scores each example as a request of its own.
  /// - Parameter positions: Where the catalog has the examples' items, if it does.
  func probabilities(_ examples: [TestExample], positions: [Int]? = nil) -> [Double] {
    scorer.begin(requests: examples.count, candidates: examples.count)
    for example in examples {
      part(.request, example).withUnsafeBytes { scorer.addRequest($0.baseAddress!) }
    }
    reader.read { view in
      scorer.enter(view)
      for (number, example) in examples.enumerated() {
        part(.item, example).withUnsafeBytes {
          if let positions {
            scorer.addCandidate(
              number, request: number, item: $0.baseAddress!, position: positions[number], revision: 1)
          } else {
            scorer.addCandidate(number, request: number, item: $0.baseAddress!)
          }
        }
      }
      scorer.gather(view)
    }
    let scores = scorer.compute(candidates: examples.count)
    return (0..<examples.count * extractor.spec.tasks.count).map { Double(scores[$0]) }
  }
}
