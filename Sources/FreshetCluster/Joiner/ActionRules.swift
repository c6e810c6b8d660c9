import FreshetCore
import FreshetModel

/// What an action is called in the schema: its kinds are the distinct `action`s of the tasks, in their order.
struct ActionFields {
  /// UTF-8 of each kind's name.
  let names: [[UInt8]]
  /// Kinds that a task compares the value of.
  let needsValue: [Bool]
  private let table = FieldTable([
    (JoinRecord.requestID, 0), (JoinRecord.eventTime, 1), (JoinRecord.action, 2), (JoinRecord.value, 3),
  ])

  struct Members {
    var requestID: JSONValue?
    var eventTime: JSONValue?
    var action: JSONValue?
    var value: JSONValue?
  }

  init(_ spec: ModelSpec) {
    var names: [String] = []
    for task in spec.tasks where !names.contains(task.action) { names.append(task.action) }
    self.names = names.map { Array($0.utf8) }
    needsValue = names.map { name in
      spec.tasks.contains { task in
        if case .valueAtLeast = task.positive { task.action == name } else { false }
      }
    }
  }

  /// What an action must be, for messages.
  var expectation: String {
    "one of " + names.map { "`" + String(decoding: $0, as: UTF8.self) + "`" }.joined(separator: ", ")
  }

  /// The members that matter; of a key that occurs twice the last one.
  func members(of object: JSONValue) -> Members {
    var members = Members()
    for member in object.children {
      switch table.find(member.name) {
      case 0: members.requestID = member
      case 1: members.eventTime = member
      case 2: members.action = member
      case 3: members.value = member
      default: continue
      }
    }
    return members
  }

  /// The kind of an action's name; nil if no task has it.
  func kind(of name: UnsafeRawBufferPointer) -> Int? {
    for kind in 0..<names.count where names[kind].count == name.count && names[kind].elementsEqual(name) { return kind }
    return nil
  }
}

/// The labels that actions give, as sets of tasks: bit `n` is task `n`.
struct PositiveRules {
  private let kinds: [Int]
  private let rules: [TaskSpec.Positive]
  /// By kind.
  private let tasksOfKind: [UInt16]
  let allTasks: UInt16

  init(_ spec: ModelSpec) {
    var names: [String] = []
    for task in spec.tasks where !names.contains(task.action) { names.append(task.action) }
    let kinds = spec.tasks.map { names.firstIndex(of: $0.action)! }
    self.kinds = kinds
    rules = spec.tasks.map(\.positive)
    tasksOfKind = names.indices.map { kind in
      kinds.indices.reduce(0) { kinds[$1] == kind ? $0 | UInt16(1) << UInt16($1) : $0 }
    }
    allTasks = tasksOfKind.reduce(0, |)
  }

  /// The tasks that learn from a kind of action.
  func tasks(of kind: Int) -> UInt16 { tasksOfKind[kind] }

  /// Those of them that it is a positive for.
  /// - Parameter dwellMs: How long after its impression the action came; below 0 if it came before it.
  func positives(kind: Int, value: Double, dwellMs: Int64) -> UInt16 {
    var positives: UInt16 = 0
    for task in 0..<kinds.count where kinds[task] == kind {
      let isPositive =
        switch rules[task] {
        case .presence: true
        case .valueAtLeast(let threshold): value >= threshold
        case .dwellAtLeast(let milliseconds): dwellMs >= milliseconds
        }
      if isPositive { positives |= UInt16(1) << UInt16(task) }
    }
    return positives
  }

  /// Writes one label for each task: NaN for those that are not in `tasks`.
  func write(_ positives: UInt16, of tasks: UInt16, to labels: UnsafeMutableBufferPointer<Float>) {
    for task in 0..<kinds.count {
      let bit = UInt16(1) << UInt16(task)
      labels[task] = tasks & bit == 0 ? .nan : positives & bit == 0 ? 0 : 1
    }
  }
}
