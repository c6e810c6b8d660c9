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

/// The labels that an action gives.
struct PositiveRules {
  private let kinds: [Int]
  private let rules: [TaskSpec.Positive]

  init(_ spec: ModelSpec) {
    var names: [String] = []
    for task in spec.tasks where !names.contains(task.action) { names.append(task.action) }
    kinds = spec.tasks.map { names.firstIndex(of: $0.action)! }
    rules = spec.tasks.map(\.positive)
  }

  /// Writes one label for each task: NaN for those that the action says nothing about.
  func write(kind: Int, value: Double, to labels: UnsafeMutableBufferPointer<Float>) {
    for task in 0..<kinds.count {
      if kinds[task] != kind {
        labels[task] = .nan
      } else if case .valueAtLeast(let threshold) = rules[task] {
        labels[task] = value >= threshold ? 1 : 0
      } else {
        labels[task] = 1
      }
    }
  }
}
