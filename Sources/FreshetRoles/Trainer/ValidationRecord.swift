import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetModel

/// A record of `kafka.topics.validation`: the figures of one task of one partition, over everything or over one slice
/// (docs/training.md#the-topic).
struct ValidationRecord {
  /// Which examples.
  struct Slice: Hashable {
    /// Position in `ValidationNames.slots`.
    let slot: Int
    let value: ValidationSlices.Value
  }

  let partition: PartitionID
  let task: Int
  /// nil: all.
  let slice: Slice?
  /// Everything in `from ..< to`.
  let from: Offset
  let to: Offset
  /// When the newest of the actions was appended.
  let newestIngest: UnixTime
  let validation: WindowedValidation

  /// All of a partition: for each task the whole first, then its slices.
  static func all(of partition: PartitionID, _ counted: PartitionValidation) -> [ValidationRecord] {
    var records: [ValidationRecord] = []
    func add(_ task: Int, _ slice: Slice?, _ validation: WindowedValidation) {
      records.append(
        ValidationRecord(
          partition: partition, task: task, slice: slice, from: counted.from, to: counted.to,
          newestIngest: counted.newestIngest, validation: validation))
    }
    for (task, validation) in counted.tasks.enumerated() {
      add(task, nil, validation)
      for (slot, slices) in counted.slices.enumerated() {
        for (value, validation) in slices.slices(task: task) { add(task, Slice(slot: slot, value: value), validation) }
      }
    }
    return records
  }

  /// `["model",partition,"task"]`, and for a slice the slot and the value behind that: what compaction keeps one record of.
  static func key(_ partition: PartitionID, task: Int, _ slice: Slice?, _ names: ValidationNames) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginArray()
    writer.write(names.model)
    writer.write(partition.value)
    writer.write(names.tasks[task])
    if let slice {
      writer.write(names.slots[slice.slot])
      writer.write(slice.value.key)
    }
    writer.endArray()
    return Array(writer.buffer.readableBytesView)
  }

  /// - Parameter trainer: Who says so.
  func value(_ names: ValidationNames, trainer: String, now: UnixTime) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("model")
    writer.write(names.model)
    writer.key("partition")
    writer.write(partition.value)
    writer.key("task")
    writer.write(names.tasks[task])
    writer.key("slice")
    if let slice { write(slice, names, to: &writer) } else { writer.writeNull() }
    writer.key("trainer")
    writer.write(trainer)
    for (name, number) in [
      ("from_offset", from.value), ("to_offset", to.value), ("newest_append_ms", newestIngest.milliseconds),
      ("written_ms", now.milliseconds),
    ] {
      writer.key(name)
      writer.write(number)
    }
    writer.key("total")
    writer.write(validation.total)
    writer.key("recent")
    writer.write(validation.recent)
    writer.endObject()
    return Array(writer.buffer.readableBytesView)
  }

  private func write(_ slice: Slice, _ names: ValidationNames, to writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("slot")
    writer.write(names.slots[slice.slot])
    writer.key("value")
    writer.write(slice.value.key)
    if case .fid(let fid) = slice.value, let text = names.text(of: fid, slot: slice.slot) {
      writer.key("text")
      writer.write(text)
    }
    writer.endObject()
  }
}

extension ValidationSlices.Value {
  /// The fid in hexadecimal, `other` or `missing`.
  var key: String {
    switch self {
    case .fid(let fid): ValidationNames.hexadecimal(fid)
    case .other: "other"
    case .missing: "missing"
    }
  }
}

extension JSONWriter {
  /// Sums, which add up over partitions, and what they give; `null` where there is no such figure.
  fileprivate mutating func write(_ window: ValidationWindow) {
    beginObject()
    key("examples")
    write(window.count)
    key("positives")
    write(window.positives)
    for (name, figure) in [
      ("loss_sum", window.loss), ("predicted_sum", window.predicted), ("auc", window.auc),
      ("auc_error_bound", window.aucErrorBound), ("logloss", window.logloss),
      ("normalized_entropy", window.normalizedEntropy), ("calibration", window.calibration),
    ] as [(String, Double?)] {
      key(name)
      if let figure { write(figure) } else { writeNull() }
    }
    endObject()
  }
}
