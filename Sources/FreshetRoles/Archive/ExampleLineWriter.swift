import FreshetCluster
import FreshetCore
import FreshetModel

/// Writes examples as lines of JSON (docs/archive-format.md).
///
/// Fids are decimal text: they use all 64 bits, and most readers' integers are signed.
struct ExampleLineWriter {
  private(set) var bytes: [UInt8] = []
  private let partition: PartitionID
  /// `"name":` of tasks, slots and dense features.
  private let tasks: [[UInt8]]
  private let slots: [[UInt8]]
  private let denseFeatures: [[UInt8]]

  init(model: ModelSpec, partition: PartitionID) {
    func key(_ name: String) -> [UInt8] {
      var bytes: [UInt8] = []
      JSONText.append(name, to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      return bytes
    }
    self.partition = partition
    tasks = model.tasks.map { key($0.name) }
    slots = model.slots.map { key($0.name) }
    denseFeatures = model.denseFeatures.map { key($0.name) }
  }

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  /// - Parameter batch: Of one example.
  mutating func append(_ batch: ExampleBatch, key: UnsafeRawBufferPointer?, time: UnixTime) {
    let header = batch.header(0)
    bytes += "{\"partition\":\(partition),\"offset\":\(batch.offsets[0]),\"time\":\(time.milliseconds),\"key\":".utf8
    if let key {
      JSONText.append(String(decoding: key, as: UTF8.self), to: &bytes)
    } else {
      bytes += "null".utf8
    }
    bytes += ",\"request\":\"\(header.requestHash)\",\"event_time\":\(header.eventTimeMs)".utf8
    bytes += ",\"action_time\":\(header.actionTimeMs),\"ingest_time\":\(header.ingestTimeMs)".utf8
    bytes +=
      ",\"weight\":\(header.weight),\"negative_rate\":\(header.negativeRate),\"origin\":\"\(header.origin.text)\"".utf8
    object("labels", tasks) { index, bytes in
      // NaN: the example says nothing about the task.
      let label = batch.labels[index]
      bytes += (label.isNaN ? "null" : "\(label)").utf8
    }
    object("fids", slots) { slot, bytes in
      let fids = batch.fids[batch.fidRange(example: 0, slot: slot)]
      bytes += "[\(fids.map { "\"\($0)\"" }.joined(separator: ","))]".utf8
    }
    object("dense", denseFeatures) { index, bytes in bytes += "\(batch.dense[index])".utf8 }
    bytes += "}\n".utf8
  }

  private mutating func object(_ name: String, _ keys: [[UInt8]], _ value: (Int, inout [UInt8]) -> Void) {
    bytes += ",\"\(name)\":{".utf8
    for (index, key) in keys.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes += key
      value(index, &bytes)
    }
    bytes.append(UInt8(ascii: "}"))
  }
}

extension ExampleOrigin {
  fileprivate var text: String {
    switch self {
    case .actions: "actions"
    case .negative: "negative"
    case .correctsNegative: "corrects-negative"
    case .correctsLabels: "corrects-labels"
    }
  }
}
