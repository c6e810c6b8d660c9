import CAllocationCount
import FreshetCore
import FreshetModel
import Testing

@Suite struct NetworkMemoryTests {
  /// Also for a smaller batch after a larger one: training steps have a few examples more or fewer each.
  @Test(arguments: NetworkTests.shapes)
  func stepsOfTrainingAllocateNothing(shape: NetworkShape) {
    Network.useOneThread()
    let network = Network(shape: shape, pooling: (0..<shape.slots).map { SlotSpec.Pooling.allCases[$0 % 3] })
    let largest = 8
    let counts = [1, largest, 3]
    func memory<Value>(_ values: [Value]) -> UnsafeMutableBufferPointer<Value> {
      let buffer = UnsafeMutableBufferPointer<Value>.allocate(capacity: values.count)
      _ = buffer.initialize(from: values)
      return buffer
    }
    let rows = memory([Float](repeating: 0.5, count: largest * shape.slots * shape.largestRowWidth))
    let rowGradients = memory([Float](repeating: 0, count: rows.count))
    let occurrences = memory((0..<largest * shape.slots).map { Int32($0 * shape.largestRowWidth) })
    let starts = memory((0...Int32(largest * shape.slots)).map { $0 })
    let dense = memory([Float](repeating: 0.25, count: largest * shape.denseFeatures + 1))
    let parameters = memory(network.layout.initialParameters(seed: 1) + [0])
    let parameterGradients = memory([Float](repeating: 0, count: parameters.count))
    let logitGradients = memory([Float](repeating: 0.125, count: largest * shape.tasks))
    defer {
      for buffer in [rows, rowGradients, dense, parameters, parameterGradients, logitGradients] { buffer.deallocate() }
      occurrences.deallocate()
      starts.deallocate()
    }
    func work() {
      // By number: an iterator of debug builds allocates.
      for number in 0..<counts.count {
        let count = counts[number]
        let batch = NetworkInput(
          count: count, rows: rows.baseAddress!, occurrences: occurrences.baseAddress!, starts: starts.baseAddress!,
          denseFeatures: dense.baseAddress!)
        _ = network.forward(batch, parameters: parameters.baseAddress!)
        network.backward(
          batch, parameters: parameters.baseAddress!, logitGradients: logitGradients.baseAddress!,
          rowGradients: rowGradients.baseAddress!, parameterGradients: parameterGradients.baseAddress!)
      }
    }
    let before = freshet_allocation_count()
    work()
    #expect(freshet_allocation_count() > before, "allocations are not counted")
    let start = freshet_allocation_count()
    for _ in 0..<10 { work() }
    #expect(freshet_allocation_count() - start == 0)
  }
}
