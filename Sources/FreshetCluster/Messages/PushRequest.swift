import FreshetCore
import FreshetModel

/// What a batch of examples tells the shard that keeps its partition's progressive validation.
public struct BatchReport: Sendable, Equatable {
  /// One task's predictions in the order of the examples that carry its label, and their exact sums.
  public struct Task: Sendable, Equatable {
    public var loss: Double
    public var predicted: Double
    public var predictions: [Prediction]

    public init(loss: Double, predicted: Double, predictions: [Prediction]) {
      self.loss = loss
      self.predicted = predicted
      self.predictions = predictions
    }
  }

  /// In the order of the model's tasks.
  public var tasks: [Task]
  public var exampleCount: Int
  /// When the batch's actions were appended to Kafka, by the wall clock.
  public var oldestIngest: UnixTime
  public var newestIngest: UnixTime

  public init(tasks: [Task], exampleCount: Int, oldestIngest: UnixTime, newestIngest: UnixTime) {
    self.tasks = tasks
    self.exampleCount = exampleCount
    self.oldestIngest = oldestIngest
    self.newestIngest = newestIngest
  }
}

/// The body of `PUSH partition epoch from to body`: the gradients of the examples in `from ..< to`.
///
/// A section may name a fid several times, once for each micro-batch in which it occurred: its gradients are applied one after
/// the other, in this order.
///
/// Layout: `u8 version = 1`, `u32 minutes` (newest event time), `u8` whether a report follows, the report, sections
/// (`RowSectionsCodec`), all fids (`u64`), all gradients (`f32`, one row of the table's width for each fid).
/// Report: `u32 examples, i64 oldest ingest ms, i64 newest, u8 tasks`, for each `u32 count, f64 loss, f64 predicted`
/// and `count` predictions of 16 bits.
public enum PushRequest {
  public static let version: UInt8 = 1

  /// Everything up to the gradients, which the caller appends.
  public static func encodeHead(
    minutes: UInt32, report: BatchReport?, sections: [RowSection], fids: UnsafeBufferPointer<Fid>,
    into writer: inout BinaryWriter
  ) {
    encodeHead(minutes: minutes, report: report, into: &writer)
    RowSectionsCodec.encode(sections, into: &writer)
    writer.write(fids: fids)
  }

  /// Everything up to the sections.
  static func encodeHead(minutes: UInt32, report: BatchReport?, into writer: inout BinaryWriter) {
    writer.write(version)
    writer.write(minutes)
    writer.write(UInt8(report == nil ? 0 : 1))
    if let report { encode(report, into: &writer) }
  }

  private static func encode(_ report: BatchReport, into writer: inout BinaryWriter) {
    writer.write(UInt32(report.exampleCount))
    writer.write(report.oldestIngest.milliseconds)
    writer.write(report.newestIngest.milliseconds)
    writer.write(UInt8(report.tasks.count))
    for task in report.tasks {
      writer.write(UInt32(task.predictions.count))
      writer.write(task.loss)
      writer.write(task.predicted)
      for prediction in task.predictions { writer.write(prediction.bits) }
    }
  }

  static func decodeReport(from reader: inout BinaryReader) throws(MalformedBlob) -> BatchReport? {
    switch try reader.read(UInt8.self) {
    case 0: return nil
    case 1: break
    case let flag: throw reader.malformed("report flag \(flag)")
    }
    let examples = Int(try reader.read(UInt32.self))
    let oldest = UnixTime(milliseconds: try reader.read())
    let newest = UnixTime(milliseconds: try reader.read())
    var tasks: [BatchReport.Task] = []
    for _ in 0..<Int(try reader.read(UInt8.self)) {
      let count = Int(try reader.read(UInt32.self))
      let loss = try reader.readDouble()
      let predicted = try reader.readDouble()
      guard count <= reader.remaining / 2 else { throw reader.malformed("\(count) predictions announced") }
      var predictions: [Prediction] = []
      predictions.reserveCapacity(count)
      for _ in 0..<count {
        guard let prediction = Prediction(bits: try reader.read()) else { throw reader.malformed("not a prediction") }
        predictions.append(prediction)
      }
      tasks.append(BatchReport.Task(loss: loss, predicted: predicted, predictions: predictions))
    }
    return BatchReport(tasks: tasks, exampleCount: examples, oldestIngest: oldest, newestIngest: newest)
  }
}
