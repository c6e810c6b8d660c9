#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The experts and gates of MMoE (Ma et al. 2018): for each task a mixture of what all experts say,
///
///     m_t = Σ_e g_te E_e(x),   g_t = softmax(x G_t + c_t)
///
/// where an expert `E_e` is ReLU layers.
final class ExpertMixture {
  private let experts: [LayerStack]
  private let gates: AffineLayer
  private let tasks: Int
  private let width: Int
  /// `g` of each example, in the order of the gates' columns: `count × tasks × experts`.
  private let shares = FloatBuffer()
  private let mixtures: [FloatBuffer]
  private let mixtureGradients: [FloatBuffer]

  /// - Parameters:
  ///   - experts: For each its layers, one at least.
  ///   - gates: Column `task × experts + expert`.
  init(experts: [[DenseLayout.Layer]], gates: DenseLayout.Layer, tasks: Int) {
    self.experts = experts.map { LayerStack($0) }
    self.gates = AffineLayer(gates, isRectified: false)
    self.tasks = tasks
    width = experts[0][experts[0].count - 1].weights.columns
    mixtures = (0..<tasks).map { _ in FloatBuffer() }
    mixtureGradients = (0..<tasks).map { _ in FloatBuffer() }
  }

  func reserve(_ count: Int) {
    for expert in experts { expert.reserve(count) }
    gates.reserve(count)
    shares.reserve(count * tasks * experts.count)
    for buffer in mixtures { buffer.reserve(count * width) }
    for buffer in mixtureGradients { buffer.reserve(count * width) }
  }

  /// `count × width` of an expert.
  func output(_ task: Int) -> UnsafePointer<Float> { UnsafePointer(mixtures[task].start) }
  /// To be written before `backward`.
  func outputGradients(_ task: Int) -> UnsafeMutablePointer<Float> { mixtureGradients[task].start }

  func forward(_ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>) {
    for number in 0..<experts.count { _ = experts[number].forward(input, count: count, parameters: parameters) }
    gates.forward(input, count: count, parameters: parameters)
    let columns = tasks &* experts.count
    shares.start.update(from: gates.output.start, count: count &* columns)
    for group in 0..<count &* tasks { Self.softmax(shares.start + group &* experts.count, experts.count) }
    for task in 0..<tasks {
      let mixture = mixtures[task].start
      mixture.update(repeating: 0, count: count &* width)
      for number in 0..<experts.count {
        let values = experts[number].output(of: input)
        for row in 0..<count {
          let share = shares.start[row &* columns &+ task &* experts.count &+ number]
          for column in row &* width..<(row &+ 1) &* width { mixture[column] += share * values[column] }
        }
      }
    }
  }

  /// Makes shares of 1 of `count` logits.
  static func softmax(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
    var largest = values[0]
    for index in 0..<count { largest = max(largest, values[index]) }
    var sum: Float = 0
    for index in 0..<count {
      values[index] = expf(values[index] - largest)
      sum += values[index]
    }
    for index in 0..<count { values[index] /= sum }
  }

  /// - Parameter inputGradients: Overwritten.
  func backward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    parameterGradients: UnsafeMutablePointer<Float>, inputGradients: UnsafeMutablePointer<Float>
  ) {
    differentiateShares(input, count)
    gates.backward(
      input, count: count, parameters: parameters, parameterGradients: parameterGradients,
      inputGradients: inputGradients, accumulates: false)
    let columns = tasks &* experts.count
    for number in 0..<experts.count {
      let gradients = experts[number].outputGradients!
      gradients.update(repeating: 0, count: count &* width)
      for task in 0..<tasks {
        let above = mixtureGradients[task].start
        for row in 0..<count {
          let share = shares.start[row &* columns &+ task &* experts.count &+ number]
          for column in row &* width..<(row &+ 1) &* width { gradients[column] += share * above[column] }
        }
      }
      experts[number].backward(
        input, count: count, parameters: parameters, parameterGradients: parameterGradients,
        inputGradients: inputGradients, accumulates: true)
    }
  }

  /// The gradients of the gates' logits: `g_te (d_te − Σ_f g_tf d_tf)` for the gradients `d` of the shares.
  private func differentiateShares(_ input: UnsafePointer<Float>, _ count: Int) {
    let columns = tasks &* experts.count
    let gradients = gates.outputGradients.start
    for task in 0..<tasks {
      let above = mixtureGradients[task].start
      for number in 0..<experts.count {
        let values = experts[number].output(of: input)
        for row in 0..<count {
          var product: Float = 0
          for column in row &* width..<(row &+ 1) &* width { product += above[column] * values[column] }
          gradients[row &* columns &+ task &* experts.count &+ number] = product
        }
      }
    }
    for group in 0..<count &* tasks {
      let (shares, gradients) = (shares.start + group &* experts.count, gradients + group &* experts.count)
      var mean: Float = 0
      for number in 0..<experts.count { mean += shares[number] * gradients[number] }
      for number in 0..<experts.count { gradients[number] = shares[number] * (gradients[number] - mean) }
    }
  }
}
