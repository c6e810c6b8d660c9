import FreshetCore
import FreshetModel

/// Progressive validation over some partitions, by task: the reply to `METRICS`. Reports of all servers add up.
///
/// Layout: `u8 version = 1, u8 tasks`, for each the windows total, last half and recent (`ValidationWindow`).
public struct ValidationReport: Sendable, Equatable {
  public static let version: UInt8 = 1

  public struct Task: Sendable, Equatable {
    public var total = ValidationWindow()
    /// The second half of every partition, to within 1/64 of it.
    public var lastHalf = ValidationWindow()
    public var recent = ValidationWindow()

    public init() {}
  }

  public private(set) var tasks: [Task]

  public init(taskCount: Int) { tasks = (0..<taskCount).map { _ in Task() } }

  mutating func add(_ validation: ProgressiveValidation, task: Int) {
    tasks[task].total.merge(validation.total)
    tasks[task].lastHalf.merge(validation.lastHalf)
    tasks[task].recent.merge(validation.recent)
  }

  public mutating func merge(_ other: ValidationReport) throws(ClusterError) {
    guard other.tasks.count == tasks.count else {
      throw ClusterError(.mismatch, "\(other.tasks.count) tasks here, \(tasks.count) there: are the models the same?")
    }
    for (index, task) in other.tasks.enumerated() {
      tasks[index].total.merge(task.total)
      tasks[index].lastHalf.merge(task.lastHalf)
      tasks[index].recent.merge(task.recent)
    }
  }

  public func encode() -> [UInt8] {
    var writer = BinaryWriter(capacity: 64 + tasks.count * 3 * 33_000)
    writer.write(Self.version)
    writer.write(UInt8(tasks.count))
    for task in tasks {
      task.total.encode(into: &writer)
      task.lastHalf.encode(into: &writer)
      task.recent.encode(into: &writer)
    }
    return writer.bytes
  }

  public init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBlob) {
    var reader = BinaryReader(bytes, what: "METRICS reply")
    let version = try reader.read(UInt8.self)
    guard version == Self.version else { throw reader.malformed("version \(version), not \(Self.version)") }
    tasks = []
    for _ in 0..<Int(try reader.read(UInt8.self)) {
      var task = Task()
      task.total = try ValidationWindow(from: &reader)
      task.lastHalf = try ValidationWindow(from: &reader)
      task.recent = try ValidationWindow(from: &reader)
      // Reports of all servers are added up; this leaves room for any number of them.
      for window in [task.total, task.lastHalf, task.recent] where window.count > 1 << 48 {
        throw reader.malformed("\(window.count) examples")
      }
      tasks.append(task)
    }
    try reader.finish()
  }
}
