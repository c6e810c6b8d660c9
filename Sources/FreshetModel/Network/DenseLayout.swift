import FreshetCore

/// Where each dense tensor of a network lies in the flat parameter vector, and how that vector is cut into rows of a table.
///
/// Tensors follow each other: for each hidden layer its weights (`inputs × outputs`, row-major) and its biases, then the heads'
/// weights (`inputs × tasks`) and biases. The vector is padded with zeros to whole chunks of `chunkWidth` floats; chunk `i` is
/// the row of `fid(ofChunk: i)` in the dense table.
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

  /// Floats of a row of the dense table.
  public static let chunkWidth = 256

  /// Weights and biases in order: `tensors[2 × layer]` and `tensors[2 × layer + 1]`.
  public let tensors: [Tensor]
  /// Floats in use, without padding.
  public let parameterCount: Int

  public init(shape: NetworkShape) {
    var tensors: [Tensor] = []
    var offset = 0
    var inputs = shape.inputWidth
    func add(_ name: String, _ rows: Int, _ columns: Int, _ bound: Float) {
      tensors.append(Tensor(name: name, offset: offset, rows: rows, columns: columns, initialBound: bound))
      offset += rows * columns
    }
    for (layer, width) in shape.hidden.enumerated() {
      // As common frameworks initialise a linear layer: uniform within 1/√inputs.
      let bound = 1 / Float(max(1, inputs)).squareRoot()
      add("layer\(layer).weights", inputs, width, bound)
      add("layer\(layer).biases", 1, width, bound)
      inputs = width
    }
    let bound = 1 / Float(max(1, inputs)).squareRoot()
    add("heads.weights", inputs, shape.tasks, shape.hidden.isEmpty ? 0 : bound)
    add("heads.biases", 1, shape.tasks, 0)
    self.tensors = tensors
    parameterCount = offset
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
