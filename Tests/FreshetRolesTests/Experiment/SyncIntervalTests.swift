import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

@testable import FreshetRoles

@Suite struct SyncIntervalTests {
  private static let step = SyncIntervalExperiment.stepMs / 1000

  @Test func aCopyThatIsRefreshedBeforeEveryExamplePredictsWhatTheTrainerDoes() throws {
    let small = try SmallLog(seconds: (0..<150).map { Self.step * (1000 + Int64($0)) })
    let run = try SyncIntervalExperiment.run(
      small.log, online: 100..<150, cases: [.init(name: "each", steps: 1), .init(name: "never", steps: nil)],
      tables: ModelTables(SmallLog.model), batchSize: 1, microBatchSize: 1)
    #expect(run.live.count == 50 && run.refreshes[0] == 50 && run.refreshes[1] == 1)
    #expect(run.served[0] == run.live)
    // A copy that stays behind does not.
    #expect(run.served[1].count == 50 && run.served[1][0] == run.live[0])
    #expect(zip(run.served[1], run.live).count(where: { $0 != $1 }) > 40)
  }

  @Test(arguments: [1, 8])
  func aCopyPredictsWhatAModelDoesThatLearnedEverythingBeforeItsLastMark(batchSize: Int) throws {
    var random = SeededGenerator(seed: 3)
    var time = Self.step * 5000
    let seconds = (0..<200).map { _ in
      time += Int64(random.next() % UInt64(Self.step))
      return time
    }
    let small = try SmallLog(seconds: seconds)
    let online = 120..<200
    let cases: [SyncIntervalExperiment.Case] = [
      .init(name: "1", steps: 1), .init(name: "3", steps: 3), .init(name: "10", steps: 10),
      .init(name: "never", steps: nil),
    ]
    let run = try SyncIntervalExperiment.run(
      small.log, online: online, cases: cases, tables: ModelTables(SmallLog.model), batchSize: batchSize,
      microBatchSize: batchSize)
    // A model is trained anew up to each mark, in the pieces that the run had.
    let pieces = EventWindows(small.log.times, in: online, lengthMs: SyncIntervalExperiment.stepMs).windows
    #expect(pieces.count > 20)
    for (number, one) in cases.enumerated() {
      var served: [Float] = []
      var expectedRefreshes = 0
      var first = 0
      while first < pieces.count {
        let window = one.steps.map { pieces[first].number / $0 }
        let end = pieces[first...].firstIndex { window != nil && $0.number / one.steps! != window } ?? pieces.count
        let training = try SmallLog.training(batchSize: batchSize)
        try small.train(0..<online.lowerBound, training)
        for piece in pieces[..<first] { try small.train(piece.range, training) }
        let copy = ServedCopy(tables: try ModelTables(SmallLog.model), map: training.map)
        try copy.refresh(from: training.servers)
        var batch = small.log.makeBatch()
        small.log.forEachBatch(
          of: pieces[first].range.lowerBound..<pieces[end - 1].range.upperBound, filling: &batch
        ) { served += copy.logits($0) }
        expectedRefreshes += 1
        first = end
      }
      #expect(run.served[number] == served, "\(one.name)")
      #expect(run.refreshes[number] == expectedRefreshes)
    }
  }
}
