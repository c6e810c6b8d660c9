import FreshetCluster
import FreshetModel
import Testing

/// `late_actions: correct`, over three tasks: like (a rating of 4 and more), click, stay.
@Suite struct JoinerLateActionTests {
  private func bench(
    _ emit: JoinerEmit, rate: Float, correctionMs: Int64 = 5000, _ configure: (inout JoinerConfig) -> Void = { _ in }
  ) throws -> JoinerBench {
    try JoinerBench(
      {
        $0.emit = emit
        $0.lateActions = .correct
        $0.correctionMs = correctionMs
        $0.negativeRate = rate
        configure(&$0)
      }, spec: joinerModeSpec)
  }

  @Test func aLateActionTakesTheNegativeBack() throws {
    let bench = try bench(.onAction, rate: 1)
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 8000)
    try bench.settle()
    #expect(bench.examples.map(\.origin) == [.negative, .correctsNegative])
    #expect(bench.examples.last?.labels == ["1.0", "nan", "nan"])
    #expect(bench.examples.last?.actionTimeMs == 8000)
    #expect(bench.partition.counters.late == 1 && bench.partition.counters.corrections == 1)
    #expect(bench.deadLetters.isEmpty)
  }

  @Test func whereTheNegativeWasDroppedThereIsNothingToTakeBack() throws {
    var origins: [ExampleOrigin: Int] = [:]
    for number in 0..<200 {
      let bench = try bench(.onAction, rate: 0.5)
      bench.feature(0, "r\(number)", at: 5000)
      bench.action(0, "r\(number)", at: 8000)
      try bench.settle()
      let made = bench.examples.map(\.origin)
      #expect(made == [.negative, .correctsNegative] || made == [.actions])
      origins[made.last!, default: 0] += 1
    }
    #expect(origins.values.allSatisfy { $0 > 60 } && origins.count == 2)
  }

  @Test func afterAnActionInTimeOrACorrectionALateActionOfAnotherKindIsAnOrdinaryOne() throws {
    let bench = try bench(.onAction, rate: 1)
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "b", at: 5001)
    bench.action(0, "a", at: 5500)
    bench.action(1, "a", at: 8000, kind: "click")
    bench.action(2, "b", at: 8001)
    bench.action(3, "b", at: 8002, kind: "click")
    try bench.settle()
    #expect(bench.examples.map(\.origin) == [.actions, .negative, .actions, .correctsNegative, .actions])
    #expect(bench.examples.last?.labels == ["nan", "1.0", "1.0"])
  }

  @Test func anActionAfterTheCorrectionTimeIsAnOrphan() throws {
    for (time, made) in [(11_000, 2), (11_001, 1)] as [(Int64, Int)] {
      let bench = try bench(.onAction, rate: 1)
      bench.feature(0, "a", at: 5000)
      bench.action(0, "a", at: time)
      bench.feature(1, "z", at: 20_000)
      try bench.settle()
      #expect(bench.examples.filter { $0.eventTimeMs == 5000 }.count == made)
      #expect(bench.deadLetters.map(\.reason) == (made == 2 ? [] : [.orphanAction]))
    }
  }

  @Test func atTheWindowsEndALateActionTakesTheNegativeBackInAllTasks() throws {
    let bench = try bench(.atWindowEnd, rate: 1)
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 8000)
    try bench.settle()
    #expect(bench.examples.map(\.origin) == [.negative, .correctsNegative])
    #expect(bench.examples.last?.labels == ["1.0", "0.0", "0.0"])
  }

  @Test func atTheWindowsEndALateActionCorrectsTheLabelsOfItsPositiveTasks() throws {
    let bench = try bench(.atWindowEnd, rate: 1)
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5100)
    bench.action(1, "a", at: 8000, kind: "click")
    bench.action(2, "a", at: 8100, kind: "click")
    try bench.settle()
    #expect(bench.examples.map(\.origin) == [.actions, .correctsLabels])
    #expect(bench.examples.map(\.labels) == [["1.0", "0.0", "0.0"], ["nan", "1.0", "1.0"]])
    #expect(bench.partition.counters.duplicateActions == 1)
  }

  @Test func aLateActionThatChangesNoLabelGivesNoExample() throws {
    let bench = try bench(.atWindowEnd, rate: 1)
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5100, kind: "click")
    bench.action(1, "a", at: 8000, value: 1)
    try bench.settle()
    #expect(bench.examples.map(\.origin) == [.actions])
    #expect(bench.partition.counters.lateUnchanged == 1 && bench.partition.counters.late == 1)
    #expect(bench.deadLetters.isEmpty)
  }

  @Test func withDeadLettersALateActionAtTheWindowsEndIsOne() throws {
    let bench = try JoinerBench({ $0.emit = .atWindowEnd }, spec: joinerModeSpec)
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "b", at: 6050)
    bench.action(0, "x", at: 6050)
    bench.action(1, "a", at: 5990)
    try bench.settle()
    #expect(bench.examples.isEmpty)
    #expect(bench.deadLetters.map(\.reason) == [.lateAction])
    #expect(bench.partition.counters.late == 1)
  }

  @Test func aCorrectionTimeWithoutCorrectionsIsAMistake() {
    #expect(throws: JoinerError.self) { try JoinerBench { $0.correctionMs = 1 } }
  }

  /// Without any of the forms of closing a window there is nothing to correct.
  @Test func withoutNegativesALateActionIsAnOrdinaryOne() throws {
    let bench = try bench(.onAction, rate: 0)
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 8000)
    try bench.settle()
    #expect(bench.examples.map(\.origin) == [.actions])
    #expect(bench.partition.counters.late == 0)
  }
}
