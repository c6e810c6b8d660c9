import FreshetCore
import FreshetTable

/// What the first bytes of a script choose: the table, and the fids that it is used with.
struct ScriptSetup: CustomStringConvertible {
  let layout: TableLayout
  let feeds = 2
  let family: FidFamily
  /// Fids of most operations: few, so that they meet again. A power of two.
  let smallDomain: Int
  /// Fids of operations on many. A power of two.
  let largeDomain: Int

  init(_ bytes: inout ScriptBytes) {
    let width = bytes.choose([1, 2, 3, 4, 7, 8, 9, 16, 17, 24, 40])
    let format = bytes.choose(WeightFormat.allCases)
    let optimizer = Self.optimizer(&bytes)
    let rules = Self.rules(bytes.next())
    let expiry = Self.expiry(&bytes)
    // Who is missing at the limit of rows could also have been turned away: one of the two at a time.
    let admission = expiry.maximumRows == nil ? Self.admission(&bytes) : .everything
    let initializer: Initializer =
      bytes.next() % 4 == 0
      ? .constant(0) : .uniform(bound: 0.25, columns: max(1, width - 1), seed: 11)
    layout = TableLayout(
      name: "script", width: width, weightFormat: format, optimizer: optimizer, gradientRules: rules,
      initializer: initializer, admission: admission, expiry: expiry)
    family = bytes.choose(FidFamily.allCases)
    smallDomain = bytes.choose([4, 16, 64, 256])
    largeDomain = family.collides ? 256 : 8192
  }

  var description: String {
    "width \(layout.width), \(layout.weightFormat.rawValue), \(layout.optimizer), \(layout.gradientRules), "
      + "\(layout.expiry), \(layout.admission), fids \(family) of \(smallDomain)"
  }

  private static func optimizer(_ bytes: inout ScriptBytes) -> Optimizer {
    switch bytes.next() % 8 {
    case 0: .sgd(SGD(learningRate: 0.25))
    case 1: .momentum(Momentum(learningRate: 0.1, momentum: 0.9))
    case 2: .adagrad(Adagrad(learningRate: 0.1, initialAccumulator: 0.01, epsilon: 1e-8))
    case 3: .adagrad(Adagrad(learningRate: 0.1, initialAccumulator: 0, epsilon: 0))
    case 4: .rmsProp(RMSProp(learningRate: 0.05, decay: 0.9, epsilon: 1e-7))
    case 5: .adam(Adam(learningRate: 0.05, beta1: 0.9, beta2: 0.999, epsilon: 1e-8))
    case 6: .ftrl(FTRL(learningRate: 0.1, beta: 1, l1: 0.01, l2: 0.1))
    default: .weightsOnly
    }
  }

  private static func rules(_ bits: Int) -> GradientRules {
    GradientRules(
      clipValue: bits & 3 == 1 ? 0.5 : nil, clipNorm: bits >> 2 & 3 == 1 ? 0.75 : nil,
      l1: bits >> 4 & 3 == 1 ? 0.01 : 0, l2: bits >> 6 & 3 == 1 ? 0.05 : 0)
  }

  private static func expiry(_ bytes: inout ScriptBytes) -> Expiry {
    let kind = bytes.next()
    let timeToLive = UInt32(1 + (kind >> 3) % 16)
    let limit = bytes.choose([1, 2, 5, 48, 50, 51, 52, 53, 54, 56, 60, 76, 80, 200, 1000])
    return Expiry(
      timeToLiveMinutes: kind & 1 == 1 ? timeToLive : nil, maximumRows: kind & 6 == 2 ? limit : nil)
  }

  private static func admission(_ bytes: inout ScriptBytes) -> Admission {
    switch bytes.next() % 6 {
    case 0: .minimumCount(2 + bytes.next() % 3, sketchBytes: 64 << (bytes.next() % 11))
    case 1: .probability(0.3, seed: UInt64(bytes.next()))
    default: .everything
    }
  }
}
