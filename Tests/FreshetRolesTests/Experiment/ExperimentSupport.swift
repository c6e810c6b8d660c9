import FreshetCluster
import FreshetCore
import FreshetModel

@testable import FreshetRoles

/// A small log of ratings at given times, and a small model that learns them.
struct SmallLog {
  static let model: ModelSpec = {
    var model = ModelSpec.movieLens
    model.tables[0].dimension = 4
    model.tables[0].initialDeviation = 0.1
    model.network.hidden = [8]
    return model
  }()

  let log: ExampleLog

  /// - Parameter seconds: Of the ratings, in order; users and movies are drawn from a few.
  init(seconds: [Int64], users: UInt64 = 12, movies: UInt64 = 20) throws {
    var random = SeededGenerator(seed: 5)
    let ratings = seconds.map { second in
      let user = random.next() % users + 1
      let movie = random.next() % movies + 1
      return "\(user),\(movie),\((user + movie) % 3 == 0 ? 5 : random.next() % 5 + 1),\(second)"
    }
    let titles = (1...movies).map { "\($0),Movie \($0) (\(1980 + $0 % 7)),\($0 % 2 == 0 ? "Drama|War" : "Comedy")" }
    let directory = try ScratchDirectory(texts: [
      "ratings.csv": (["userId,movieId,rating,timestamp"] + ratings).joined(separator: "\n") + "\n",
      "movies.csv": (["movieId,title,genres"] + titles).joined(separator: "\n") + "\n",
    ])
    log = ExampleLog(try TrainingLog(model: Self.model, directory: directory.path, limit: nil).blocks)
  }

  static func training(batchSize: Int) throws -> LocalTraining {
    try LocalTraining(tables: ModelTables(model), batchSize: batchSize, microBatchSize: batchSize)
  }

  /// Learns a range in batches of its own.
  func train(_ range: Range<Int>, _ training: LocalTraining) throws {
    var batch = log.makeBatch()
    try log.forEachBatch(of: range, filling: &batch) { try training.train($0) }
  }
}
