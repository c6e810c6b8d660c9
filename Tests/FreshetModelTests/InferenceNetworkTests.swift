import FreshetCore
import Testing

@testable import FreshetModel

/// Random rows of a random network, computed by `Network` and in parts by `InferenceNetwork`.
struct InferenceBench {
  let shape: NetworkShape
  let pooling: [SlotSpec.Pooling]
  let sides: FeatureSides
  let parameters: [Float]
  /// By slot, 40 rows.
  let tables: [[Float]]
  /// By example and slot, rows of its table.
  let members: [[[Int]]]
  let dense: [[Float]]

  init(seed: UInt64, count: Int) {
    var random = SeededGenerator(seed: seed)
    func value() -> Float { Float(random.nextUnit() * 2 - 1) * 0.3 }
    shape = Self.shape(&random)
    pooling = (0..<shape.slots).map { _ in SlotSpec.Pooling.allCases.randomElement(using: &random)! }
    var sides = FeatureSides(
      request: .init(slots: [], dense: []), item: .init(slots: [], dense: []), mixed: .init(slots: [], dense: []))
    for slot in 0..<shape.slots {
      switch Int.random(in: 0..<3, using: &random) {
      case 0: sides.request.slots.append(slot)
      case 1: sides.item.slots.append(slot)
      default: sides.mixed.slots.append(slot)
      }
    }
    for feature in 0..<shape.denseFeatures {
      if Bool.random(using: &random) { sides.request.dense.append(feature) } else { sides.item.dense.append(feature) }
    }
    self.sides = sides
    parameters = (0..<DenseLayout(shape: shape).parameterCount).map { _ in value() }
    tables = shape.factors.map { factors in (0..<40 * (factors + 1)).map { _ in value() } }
    let slots = shape.slots
    members = (0..<count).map { _ in
      (0..<slots).map { _ in
        (0..<[0, 1, 1, 1, 2, 5].randomElement(using: &random)!).map { _ in Int.random(in: 0..<40, using: &random) }
      }
    }
    let features = shape.denseFeatures
    dense = (0..<count).map { _ in (0..<features).map { _ in value() * 3 } }
  }

  /// Of any kind, with slots of one dimension or of several.
  private static func shape(_ random: inout SeededGenerator) -> NetworkShape {
    func widths(_ counts: ClosedRange<Int>) -> [Int] {
      (0..<Int.random(in: counts, using: &random)).map { _ in
        [1, 6, 16, 17, 32, 64, 80].randomElement(using: &random)!
      }
    }
    let kind = Int.random(in: 0..<6, using: &random)
    var hidden: [Int] = []
    var body = NetworkShape.Body.plain
    switch kind {
    case 0, 1: break
    case 2: hidden = widths(1...3)
    case 3:
      hidden = widths(0...2)
      body = .cross(
        layers: Int.random(in: 1...3, using: &random),
        rank: Bool.random(using: &random) ? Int.random(in: 1...20, using: &random) : nil,
        isStacked: Bool.random(using: &random))
    case 4:
      hidden = widths(1...2)
      body = .towers(widths(0...2))
    default:
      body = .mixture(
        experts: Int.random(in: 1...5, using: &random), expert: widths(1...2), tower: widths(0...2))
    }
    let slots = Int.random(in: 1...9, using: &random)
    let common = kind == 0 ? 0 : [1, 3, 8, 13, 16, 20].randomElement(using: &random)!
    var factors = Array(repeating: common, count: slots)
    var factorized = kind == 1 || kind == 2 ? Array(0..<slots) : []
    if Bool.random(using: &random) {
      for slot in 1..<slots where Bool.random(using: &random) {
        factors[slot] = [0, 1, 3, 8, 13, 16, 20].randomElement(using: &random)!
      }
      factorized.removeAll { factors[$0] != common || Int.random(in: 0..<5, using: &random) == 0 }
    }
    return NetworkShape(
      factors: factors, factorizedSlots: factorized, denseFeatures: Int.random(in: 0...5, using: &random),
      hidden: hidden, body: body, tasks: Int.random(in: 1...4, using: &random))
  }

  /// Row-major `count × tasks`, by the network of training.
  func expected() -> [Float] {
    let network = Network(shape: shape, pooling: pooling)
    var occurrences: [Int32] = []
    var starts: [Int32] = [0]
    for example in members {
      for (slot, rows) in example.enumerated() {
        let first = 40 * shape.factors[..<slot].reduce(0) { $0 + $1 + 1 }
        occurrences += rows.map { Int32(first + $0 * (shape.factors[slot] + 1)) }
        starts.append(Int32(occurrences.count))
      }
    }
    occurrences.append(0)
    let flat: [Float] = Array(dense.joined()) + [0]
    let rows = Array(tables.joined())
    return withExtendedLifetime((network, rows, occurrences, starts, flat)) {
      let logits = network.forward(
        NetworkInput(
          count: members.count, rows: rows, occurrences: occurrences, starts: starts, denseFeatures: flat),
        parameters: parameters)
      return (0..<members.count * shape.tasks).map { LogisticLoss.sigmoid(logits[$0]) }
    }
  }

  /// One side's parts of some examples, one after the other.
  func parts(_ network: InferenceNetwork, _ side: RowSide, _ examples: [Int]) -> [Float] {
    var rows: [Float] = []
    var starts: [Int32] = []
    var features: [Float] = []
    for example in examples {
      starts.append(Int32(rows.count / network.rowStride))
      for slot in sides[side].slots {
        let width = shape.factors[slot] + 1
        for member in members[example][slot] {
          rows += tables[slot][member * width..<(member + 1) * width]
          // What fills a row up must not matter.
          rows += [Float](repeating: .nan, count: network.rowStride - width)
        }
        starts.append(Int32(rows.count / network.rowStride))
      }
      features += sides[side].dense.map { dense[example][$0] }
    }
    rows.append(0)
    features.append(0)
    var parts = [Float](repeating: .nan, count: examples.count * network.partStride)
    parts.withUnsafeMutableBufferPointer { buffer in
      let places = examples.indices.map { buffer.baseAddress! + $0 * network.partStride }
      network.computeParts(side, count: examples.count, rows: rows, starts: starts, dense: features, into: places)
    }
    return parts
  }

  /// The probabilities of some examples, whose parts are computed and joined together.
  func scores(_ network: InferenceNetwork, _ examples: [Int]) -> [Float] {
    let parts = RowSide.allCases.map { self.parts(network, $0, examples) }
    var output = [Float](repeating: 0, count: (examples.count * shape.tasks + 7) & ~7)
    parts[0].withUnsafeBufferPointer { requests in
      parts[1].withUnsafeBufferPointer { items in
        parts[2].withUnsafeBufferPointer { mixed in
          network.probabilities(
            count: examples.count, requests: examples.indices.map { requests.baseAddress! + $0 * network.partStride },
            items: examples.indices.map { items.baseAddress! + $0 * network.partStride },
            mixed: sides.mixed.slots.isEmpty ? nil : mixed.baseAddress, into: &output)
        }
      }
    }
    return Array(output.prefix(examples.count * shape.tasks))
  }

  func makeNetwork() -> InferenceNetwork {
    let network = InferenceNetwork(shape: shape, pooling: pooling, sides: sides)
    network.load(parameters)
    return network
  }
}

@Suite struct InferenceNetworkTests {
  @Test func partsOfAnyNetworkMakeTheScoresOfTheNetworkThatIsTrained() {
    for seed in UInt64(0)..<600 {
      let bench = InferenceBench(seed: seed, count: 11)
      let scores = bench.scores(bench.makeNetwork(), Array(0..<11))
      let tolerance: Float = bench.shape.body == .plain ? 1e-6 : 1e-5
      for (mine, theirs) in zip(scores, bench.expected()) {
        #expect(abs(mine - theirs) < tolerance, "seed \(seed), \(bench.shape)")
      }
    }
  }

  @Test func aRowsScoresAreTheSameBitsWhateverIsComputedWithIt() {
    for seed in UInt64(0)..<200 {
      let bench = InferenceBench(seed: seed, count: 23)
      let network = bench.makeNetwork()
      let together = bench.scores(network, Array(0..<23))
      var random = SeededGenerator(seed: seed)
      let shuffled = (0..<23).shuffled(using: &random)
      var start = 0
      while start < 23 {
        let some = Array(shuffled[start..<min(23, start + Int.random(in: 1...9, using: &random))])
        let scores = bench.scores(network, some)
        for (position, example) in some.enumerated() {
          for task in 0..<bench.shape.tasks {
            #expect(
              scores[position * bench.shape.tasks + task].bitPattern
                == together[example * bench.shape.tasks + task].bitPattern)
          }
        }
        start += some.count
      }
    }
  }

  /// What docs/models.md says of them.
  @Test(arguments: [
    ([64, 32], NetworkShape.Body.plain, 1, 10_369, 352),
    ([64, 32], .cross(layers: 2, rank: nil, isStacked: false), 1, 43_521, 1_312),
    ([64, 32], .cross(layers: 2, rank: 32, isStacked: false), 1, 27_137, 928),
    ([64], .towers([16]), 2, 10_370, 288),
    ([], .mixture(experts: 4, expert: [32], tower: [16]), 2, 18_634, 608),
  ])
  func networksAndPartsAreOfTheSizesInTheDocument(
    hidden: [Int], body: NetworkShape.Body, tasks: Int, parameters: Int, partBytes: Int
  ) {
    let shape = NetworkShape(
      slots: 8, factors: 16, denseFeatures: 0, hidden: hidden, hasFactorizationMachine: body == .plain, body: body,
      tasks: tasks)
    #expect(DenseLayout(shape: shape).parameterCount == parameters)
    let side = FeatureSides.Side(slots: Array(0..<8), dense: [])
    let none = FeatureSides.Side(slots: [], dense: [])
    let network = InferenceNetwork(
      shape: shape, pooling: Array(repeating: .sum, count: 8),
      sides: FeatureSides(request: side, item: none, mixed: none))
    #expect(network.partStride * MemoryLayout<Float>.size == partBytes)
  }

  /// The same for dimensions by slot.
  @Test(arguments: [([32, 32, 4, 4, 4, 4, 8, 8], 8_321, 20_897), ([16, 16, 4, 4, 4, 4, 8, 8], 6_273, 14_657)])
  func networksOverSlotsOfDifferentDimensionsAreOfTheSizesInTheDocument(
    factors: [Int], ofDeepFM: Int, ofDCN: Int
  ) {
    func count(_ factorized: [Int], _ body: NetworkShape.Body) -> Int {
      let shape = NetworkShape(
        factors: factors, factorizedSlots: factorized, denseFeatures: 0, hidden: [64, 32], body: body, tasks: 1)
      return DenseLayout(shape: shape).parameterCount
    }
    #expect(count([0, 1], .plain) == ofDeepFM)
    #expect(count([], .cross(layers: 2, rank: 32, isStacked: false)) == ofDCN)
  }

  @Test(arguments: 0..<40)
  func newParametersTakeTheOldOnesPlaceEntirely(seed: UInt64) {
    let bench = InferenceBench(seed: seed, count: 9)
    let network = InferenceNetwork(shape: bench.shape, pooling: bench.pooling, sides: bench.sides)
    network.load(bench.parameters.map { _ in 7 })
    network.load(bench.parameters)
    #expect(bench.scores(network, [3, 1]) == bench.scores(bench.makeNetwork(), [3, 1]))
  }

  @Test func theVectorSigmoidIsTheSigmoid() {
    var values: [Float] = (-1200...1200).map { Float($0) / 10 } + [.infinity, -.infinity, .nan, 1e-30, 0, 0, 0]
    let logits = values
    values.withUnsafeMutableBufferPointer { LogisticLoss.sigmoids($0.baseAddress!, count: logits.count) }
    for (value, logit) in zip(values, logits) {
      let expected = LogisticLoss.sigmoid(logit)
      #expect(logit.isNaN ? value.isNaN : abs(value - expected) < 1e-6 * max(expected, 1e-30) || expected < 1e-37)
    }
    #expect(values[1200] == 0.5)
  }
}
