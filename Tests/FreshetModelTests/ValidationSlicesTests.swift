import CAllocationCount
import FreshetCore
import FreshetModel
import Testing

@Suite struct ValidationSlicesTests {
  /// Losses are multiples of 1/64: their sums are exact in whatever order.
  struct Sample {
    var values: [Fid]
    var outcome: ValidationOutcome
  }

  func sample(_ values: [Fid], _ random: inout SeededGenerator) -> Sample {
    let logit = Float.random(in: -3...3, using: &random)
    let isPositive = Float(random.nextUnit()) < LogisticLoss.sigmoid(logit)
    return Sample(
      values: values,
      outcome: ValidationOutcome(
        loss: Double(random.next() % 64) / 64, predicted: Double(random.next() % 64) / 64,
        prediction: Prediction(logit: logit, isPositive: isPositive), isCounted: random.next() % 10 > 0))
  }

  func fid(_ value: Int) -> Fid { Hashing.fid(slot: "s", value: "\(value)") }

  func add(_ sample: Sample, to slices: inout ValidationSlices) {
    sample.values.withUnsafeBufferPointer { values in
      [sample.outcome].withUnsafeBufferPointer { slices.add(values: values, outcomes: $0) }
    }
  }

  /// - Returns: After rolls now and then, the slices and the whole.
  func run(capacity: Int, window: Int, _ samples: [Sample]) -> (slices: ValidationSlices, whole: WindowedValidation) {
    var slices = ValidationSlices(taskCount: 1, capacity: capacity)
    var whole = WindowedValidation(.coarse)
    for (number, sample) in samples.enumerated() {
      if number > 0 && number % window == 0 {
        slices.roll()
        whole.roll()
      }
      add(sample, to: &slices)
      whole.add(sample.outcome)
    }
    return (slices, whole)
  }

  func sum(_ slices: ValidationSlices, _ part: (WindowedValidation) -> ValidationWindow) -> ValidationWindow {
    slices.slices(task: 0).reduce(into: ValidationWindow(.coarse)) { $0.merge(part($1.validation)) }
  }

  /// Few values are frequent, many are rare, and which ones are frequent changes.
  func drifting(_ count: Int, seed: UInt64) -> [Sample] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { number in
      let base = number / 2_000 * 10
      let value =
        switch random.next() % 10 {
        case 0: [Fid]()
        case 1..<8: [fid(base + Int(random.next() % 4))]
        default: [fid(1_000 + Int(random.next() % 5_000))]
        }
      return sample(value, &random)
    }
  }

  @Test(arguments: [1, 3, 8, 1000]) func slicesAddUpToTheWholeWhateverValuesComeAndGo(capacity: Int) {
    for seed in UInt64(0)..<4 {
      let (slices, whole) = run(capacity: capacity, window: 300, drifting(9_000, seed: seed))
      #expect(sum(slices) { $0.total } == whole.total)
      #expect(sum(slices) { $0.recent } == whole.recent)
      #expect(slices.slices(task: 0).count <= capacity + 2)
    }
  }

  @Test func withRoomForAllEachValueHasExactlyItsExamples() {
    let samples = drifting(4_000, seed: 9)
    let (slices, _) = run(capacity: 1000, window: 100_000, samples)
    var expected: [ValidationSlices.Value: ValidationWindow] = [:]
    let early = samples.prefix(700)
    let (few, _) = run(capacity: 1000, window: 100_000, Array(early))
    for sample in early {
      let value = sample.values.first.map { ValidationSlices.Value.fid($0) } ?? .missing
      var window = expected[value] ?? ValidationWindow(.coarse)
      window.addSums(loss: sample.outcome.loss, predicted: sample.outcome.predicted)
      if sample.outcome.isCounted { window.add(sample.outcome.prediction) }
      expected[value] = window
    }
    for (value, validation) in few.slices(task: 0) { #expect(validation.total == expected[value], "\(value)") }
    #expect(few.slices(task: 0).count == expected.values.count { !$0.isEmpty })
    #expect(slices.slices(task: 0).count > few.slices(task: 0).count)
  }

  @Test func valuesThatBecomeFrequentTakeThePlacesOfRareOnes() {
    var random = SeededGenerator(seed: 4)
    // The first to come are rare ones.
    let rare = (0..<4).map { sample([fid(100 + $0)], &random) }
    let stream = (0..<6_000).map { number in
      sample([number % 3 == 0 ? fid(1_000 + Int(random.next() % 3_000)) : fid(Int(random.next() % 4))], &random)
    }
    let (slices, _) = run(capacity: 4, window: 500, rare + stream)
    let kept = slices.slices(task: 0).compactMap { if case .fid(let fid) = $0.value { fid } else { nil } }
    #expect(kept == (0..<4).map(fid).sorted())
    // Taken up after the first window.
    let frequent = stream.dropFirst(500 - rare.count).filter { $0.values == [fid(0)] && $0.outcome.isCounted }.count
    let counted = slices.slices(task: 0).first { $0.value == .fid(fid(0)) }!.validation.total.count
    #expect(counted == UInt64(frequent))
  }

  @Test func whatIsKeptIsAFunctionOfTheExamples() {
    let samples = drifting(9_000, seed: 3)
    let runs = (0..<2).map { _ in run(capacity: 5, window: 250, samples).slices.slices(task: 0) }
    #expect(runs[0].map(\.value) == runs[1].map(\.value))
    #expect(runs[0].map(\.validation) == runs[1].map(\.validation))
  }

  @Test func anExampleOfManyValuesCountsOnceInEachOfTheirSlices() {
    var random = SeededGenerator(seed: 5)
    var slices = ValidationSlices(taskCount: 1, capacity: 2)
    func counted(_ values: [Int]) {
      var example = sample(values.map(fid), &random)
      example.outcome = ValidationOutcome(
        loss: 1, predicted: 0, prediction: Prediction(logit: 0, isPositive: true), isCounted: true)
      add(example, to: &slices)
    }
    counted([1, 2, 1])
    counted([2, 3, 4, 3])
    counted([])
    let counts = Dictionary(
      uniqueKeysWithValues: slices.slices(task: 0).map { ($0.value, $0.validation.total.count) })
    #expect(counts == [.fid(fid(1)): 1, .fid(fid(2)): 2, .other: 1, .missing: 1])
  }

  /// Memory is constant and adding allocates nothing, though values come without end.
  @Test func addingAllocatesNothingOnceAllPlacesAreTaken() {
    var slices = ValidationSlices(taskCount: 2, capacity: 16)
    let outcome = ValidationOutcome(
      loss: 1, predicted: 0.5, prediction: Prediction(logit: 1, isPositive: true), isCounted: true)
    let values = UnsafeMutableBufferPointer<Fid>.allocate(capacity: 2)
    let outcomes = UnsafeMutableBufferPointer<ValidationOutcome>.allocate(capacity: 2)
    defer {
      values.deallocate()
      outcomes.deallocate()
    }
    outcomes.initialize(repeating: outcome)
    var random = SeededGenerator(seed: 6)
    func work(_ count: Int) {
      for _ in 0..<count {
        values[0] = random.next() % 20
        values[1] = random.next()
        slices.add(values: UnsafeBufferPointer(values), outcomes: UnsafeBufferPointer(outcomes))
      }
    }
    work(1_000)
    slices.add(values: UnsafeBufferPointer(start: nil, count: 0), outcomes: UnsafeBufferPointer(outcomes))
    // A place that changed hands has all its memory two windows later.
    for _ in 0..<8 {
      work(1_000)
      slices.roll()
    }
    let start = freshet_allocation_count()
    work(10_000)
    #expect(freshet_allocation_count() - start == 0)
  }

  @Test func theWindowIsTheLastFullOneAndWhatHasComeSince() {
    var validation = WindowedValidation(.fine)
    for window in 0..<5 {
      if window > 0 { validation.roll() }
      validation.add(
        (0..<10).map { Prediction(logit: Float(window), isPositive: $0 < window) }, loss: Double(window), predicted: 1)
    }
    #expect(validation.total.count == 50 && validation.total.positives == 10 && validation.total.loss == 10)
    #expect(validation.recent.count == 20 && validation.recent.positives == 7 && validation.recent.loss == 7)
    validation.roll()
    #expect(validation.recent.count == 10 && validation.total.count == 50)
  }

  @Test func aCoarseWindowKeepsItsOwnErrorBound() throws {
    var random = SeededGenerator(seed: 7)
    let scored = (0..<3_000).map { _ in sample([], &random).outcome.prediction }
    var fine = ValidationWindow(.fine)
    var coarse = ValidationWindow(.coarse)
    for prediction in scored {
      fine.add(prediction)
      coarse.add(prediction)
    }
    let (exact, rough) = (try #require(fine.auc), try #require(coarse.auc))
    #expect(abs(exact - rough) <= coarse.aucErrorBound! + fine.aucErrorBound!)
    #expect(abs(exact - rough) < 2e-3 && coarse.aucErrorBound! < 2e-2)
    #expect(coarse.aucErrorBound! > fine.aucErrorBound!)
    coarse.removeAll()
    #expect(coarse.count == 0 && coarse.auc == nil)
    coarse.add(Prediction(logit: 100, isPositive: true))
    coarse.add(Prediction(logit: -100, isPositive: false))
    #expect(coarse.auc == 1)
  }
}
