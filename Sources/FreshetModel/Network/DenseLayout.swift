import FreshetCore

/// Where each dense tensor of a network lies in the flat parameter vector, and how that vector is cut into rows of a table.
///
/// Tensors follow each other: those of the cross layers, of the experts and of the gates, where there are any, of the hidden
/// layers, and of the towers and heads. A layer has its weights (`inputs × outputs`, row-major) and its biases. The vector is padded
/// with zeros to whole chunks of `chunkWidth` floats; chunk `i` is the row of `fid(ofChunk: i)` in the dense table.
public struct DenseLayout: Sendable, Equatable {
  public struct Tensor: Sendable, Equatable {
    public let name: String
    public let offset: Int
    public let rows: Int
    public let columns: Int
    /// Initial values are uniform in `-bound ..< bound`.
    public let initialBound: Float
    public var count: Int { rows * columns }
  }

  /// The tensors of a layer that computes `input × weights + biases`.
  public struct Layer: Sendable, Equatable {
    public let weights: Tensor
    public let biases: Tensor
  }

  /// The tensors of a cross layer.
  public struct Cross: Sendable, Equatable {
    /// `inputs × rank`, of a layer of low rank; the weights of `layer` then are `rank × inputs`.
    public let projection: Tensor?
    public let layer: Layer
  }

  /// Layers of one task, or of all together.
  public struct Tower: Sendable, Equatable {
    public let layers: [Layer]
    public let head: Layer
  }

  /// Floats of a row of the dense table.
  public static let chunkWidth = 256

  /// All of them, in order.
  public let tensors: [Tensor]
  public let cross: [Cross]
  /// For each expert its layers.
  public let experts: [[Layer]]
  /// Column `task × experts + expert` of one layer for all gates.
  public let gates: Layer?
  /// Of the layers that tasks share below their own towers.
  public let shared: [Layer]
  /// One for all tasks, or one for each.
  public let towers: [Tower]
  /// The heads' weights for the output of the cross layers, where those stand beside the hidden layers.
  public let crossHead: Tensor?
  /// Floats in use, without padding.
  public let parameterCount: Int

  public init(shape: NetworkShape) {
    var builder = Builder()
    var (cross, experts, shared): ([Cross], [[Layer]], [Layer]) = ([], [], [])
    var (gates, crossHead): (Layer?, Tensor?) = (nil, nil)
    switch shape.body {
    case .plain:
      // Linear weights start at 0, be they of fids or of dense features.
      let isLinear = shape.hidden.isEmpty
      towers = [
        builder.tower(
          "", inputs: shape.inputWidth, shape.hidden, outputs: shape.tasks, headBound: isLinear ? 0 : nil)
      ]
    case .cross(let layers, let rank, let isStacked):
      cross = (0..<layers).map { builder.cross("cross\($0)", width: shape.inputWidth, rank: rank) }
      if isStacked || shape.hidden.isEmpty {
        towers = [builder.tower("", inputs: shape.inputWidth, shape.hidden, outputs: shape.tasks)]
      } else {
        // One matrix of heads for both inputs, in two pieces.
        let inputs = shape.inputWidth + shape.hidden.last!
        let bound = Builder.bound(inputs)
        towers = [
          builder.tower("", inputs: shape.inputWidth, shape.hidden, outputs: shape.tasks, headBound: bound)
        ]
        crossHead = builder.tensor("heads.cross", shape.inputWidth, shape.tasks, bound)
      }
    case .towers(let widths):
      shared = builder.layers("", inputs: shape.inputWidth, shape.hidden)
      towers = (0..<shape.tasks).map {
        builder.tower("task\($0).", inputs: shape.hidden.last ?? shape.inputWidth, widths, outputs: 1)
      }
    case .mixture(let count, let expert, let widths):
      experts = (0..<count).map { builder.layers("expert\($0).", inputs: shape.inputWidth, expert) }
      gates = builder.layer("gates", shape.inputWidth, count * shape.tasks)
      towers = (0..<shape.tasks).map { builder.tower("task\($0).", inputs: expert.last!, widths, outputs: 1) }
    }
    (self.cross, self.experts, self.shared, self.gates, self.crossHead) = (cross, experts, shared, gates, crossHead)
    tensors = builder.tensors
    parameterCount = builder.offset
  }

  /// Gives each tensor its place behind the one before.
  private struct Builder {
    var tensors: [Tensor] = []
    var offset = 0

    /// As common frameworks initialise a linear layer: uniform within 1/√inputs.
    static func bound(_ inputs: Int) -> Float { 1 / Float(max(1, inputs)).squareRoot() }

    mutating func tensor(_ name: String, _ rows: Int, _ columns: Int, _ bound: Float) -> Tensor {
      let tensor = Tensor(name: name, offset: offset, rows: rows, columns: columns, initialBound: bound)
      tensors.append(tensor)
      offset += tensor.count
      return tensor
    }

    mutating func layer(_ name: String, _ inputs: Int, _ outputs: Int) -> Layer {
      let bound = Self.bound(inputs)
      return Layer(
        weights: tensor(name + ".weights", inputs, outputs, bound),
        biases: tensor(name + ".biases", 1, outputs, bound))
    }

    mutating func layers(_ prefix: String, inputs: Int, _ widths: [Int]) -> [Layer] {
      var inputs = inputs
      var layers: [Layer] = []
      for (number, width) in widths.enumerated() {
        layers.append(layer("\(prefix)layer\(number)", inputs, width))
        inputs = width
      }
      return layers
    }

    /// - Parameter headBound: Of the head's initial weights, if not the usual one for its inputs.
    mutating func tower(
      _ prefix: String, inputs: Int, _ widths: [Int], outputs: Int, headBound: Float? = nil
    ) -> Tower {
      let layers = layers(prefix, inputs: inputs, widths)
      let inputs = widths.last ?? inputs
      let head = Layer(
        weights: tensor(prefix + "heads.weights", inputs, outputs, headBound ?? Self.bound(inputs)),
        biases: tensor(prefix + "heads.biases", 1, outputs, 0))
      return Tower(layers: layers, head: head)
    }

    /// Biases start at 0: what a layer multiplies with its input at first is small.
    mutating func cross(_ name: String, width: Int, rank: Int?) -> Cross {
      let projection = rank.map { tensor(name + ".projection", width, $0, Self.bound(width)) }
      let inputs = rank ?? width
      let weights = tensor(name + ".weights", inputs, width, Self.bound(inputs))
      return Cross(
        projection: projection, layer: Layer(weights: weights, biases: tensor(name + ".biases", 1, width, 0)))
    }
  }

  public var chunkCount: Int { (parameterCount + Self.chunkWidth - 1) / Self.chunkWidth }
  /// Floats of the vector with its padding.
  public var paddedCount: Int { chunkCount * Self.chunkWidth }

  /// Chunk numbers spread over the shards like fids that are hashes.
  public static func fid(ofChunk chunk: Int) -> Fid { Hashing.mix(UInt64(chunk)) }

  public var fids: [Fid] { (0..<chunkCount).map(Self.fid(ofChunk:)) }

  /// The parameter vector before any training, padded: a pure function of the seed.
  public func initialParameters(seed: UInt64) -> [Float] {
    var values = [Float](repeating: 0, count: paddedCount)
    for (number, tensor) in tensors.enumerated() {
      var generator = SeededGenerator(seed: Hashing.mix(seed) ^ UInt64(number))
      for index in 0..<tensor.count {
        values[tensor.offset + index] = (Float(generator.next() >> 40) * 0x1p-23 - 1) * tensor.initialBound
      }
    }
    return values
  }
}
