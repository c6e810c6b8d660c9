import FreshetCluster
import FreshetCore
import FreshetModel

extension InfoText {
  /// The figures of a task over everything that a process has counted, and over a window. Keys begin with `task<number>_`.
  mutating func add(task: Int, total: ValidationWindow, recent: ValidationWindow) {
    func add(_ name: String, _ value: some CustomStringConvertible) {
      self.add("task\(task)_\(name)", value, as: .named(name, of: ["task": task]))
    }
    add("examples", total.count)
    for (name, figure) in total.figures { add(name, figure.shown) }
    add("recent_examples", recent.count)
    for (name, figure) in recent.figures { add("recent_\(name)", figure.shown) }
  }

  /// What a trainer has counted of its partitions together, by task and slice.
  mutating func add(_ validation: [(partition: PartitionID, validation: PartitionValidation)], _ names: ValidationNames)
  {
    for task in names.tasks.indices {
      var total = ValidationWindow()
      var recent = ValidationWindow()
      for (_, counted) in validation {
        total.merge(counted.tasks[task].total)
        recent.merge(counted.tasks[task].recent)
      }
      add(task: task, total: total, recent: recent)
    }
    for slot in names.slots.indices {
      for task in names.tasks.indices { addSlices(validation, slot: slot, task: task, names) }
    }
  }

  private mutating func addSlices(
    _ validation: [(partition: PartitionID, validation: PartitionValidation)], slot: Int, task: Int,
    _ names: ValidationNames
  ) {
    var sums: [String: (value: ValidationSlices.Value, total: ValidationWindow, recent: ValidationWindow)] = [:]
    for (_, counted) in validation {
      for (value, slice) in counted.slices[slot].slices(task: task) {
        var sum = sums[value.key] ?? (value, ValidationWindow(.coarse), ValidationWindow(.coarse))
        sum.total.merge(slice.total)
        sum.recent.merge(slice.recent)
        sums[value.key] = sum
      }
    }
    for (key, sum) in sums.sorted(by: { $0.key < $1.key }) {
      var text = key
      if case .fid(let fid) = sum.value { text = names.text(of: fid, slot: slot) ?? key }
      let labels: KeyValuePairs<String, any CustomStringConvertible> = [
        "task": task, "slot": names.slots[slot], "value": text, "fid": key,
      ]
      func field(_ name: String, _ value: some CustomStringConvertible) -> InfoField {
        InfoField(name, value, .named("slice_\(name)", of: labels))
      }
      var fields = [field("examples", sum.total.count)]
      for (name, figure) in sum.total.figures { fields.append(field(name, figure.shown)) }
      fields.append(field("recent_examples", sum.recent.count))
      for (name, figure) in sum.recent.figures { fields.append(field("recent_\(name)", figure.shown)) }
      let figures = fields.map { "\($0.name)=\($0.text)" }.joined(separator: ",")
      add("task\(task)_slice_\(names.slots[slot])_\(key)", text: "value=\"\(text)\",\(figures)", fields)
    }
  }

  /// What the guard has to say.
  mutating func add(_ guardian: TrainingGuard?, held: String?, holds: UInt64, taskCount: Int) {
    section("guard")
    add("held", held == nil ? 0 : 1)
    add("holds", holds)
    if let held { add("reason", held) }
    guard let guardian else { return }
    add("window", guardian.bounds.window)
    if let bound = guardian.bounds.maximumLogloss { add("maximum_logloss", bound) }
    if let bound = guardian.bounds.maximumNormalizedEntropy { add("maximum_normalized_entropy", bound) }
    for task in 0..<taskCount {
      add(
        "task\(task)_window_logloss", rounded: guardian.logloss(task: task),
        as: .named("window_logloss", of: ["task": task]))
    }
  }
}

extension ValidationWindow {
  /// Those that there are, by the names that they have in `INFO`, metrics and the topic.
  fileprivate var figures: [(name: String, value: Double)] {
    let figures: [(String, Double?)] = [
      ("auc", auc), ("logloss", logloss), ("normalized_entropy", normalizedEntropy), ("calibration", calibration),
    ]
    return figures.compactMap { name, value in value.flatMap { $0.isFinite ? (name, $0) : nil } }
  }
}

extension Double {
  /// Four decimals.
  fileprivate var shown: Double { (self * 1e4).rounded() / 1e4 }
}

extension TrainingGuard.Breach {
  /// For people.
  func text(tasks: [String]) -> String {
    "\(measure.rawValue) of task \(tasks[task]) over the last \(examples) examples is \(value.shown), more than \(bound)"
  }
}
