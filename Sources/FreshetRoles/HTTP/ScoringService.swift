import FreshetHTTP
import FreshetModel
import FreshetWire
import NIOCore

/// What HTTP asks of a serving replica. The scores are those of SCOREJSON: there is one way to compute them.
protocol ScoringService: Sendable {
  /// The one that answers now.
  var model: ModelSpec { get }

  /// - Parameters:
  ///   - json: What SCOREJSON takes, with candidates: `{"context":{…},"candidates":[{…},…]}`.
  ///   - tasks: Names of the model's tasks.
  /// - Returns: For each of `tasks` one score for each candidate, all of one state of the model.
  func score(_ json: ByteBuffer, tasks: [String]) async throws(HTTPFailure) -> VersionedScores

  /// - Parameter task: The name of one of the model's tasks.
  /// - Returns: Best first.
  func recommend(
    task: String, fields: [RequestField], topK: Int, filters: [RequestField], exclude: [String]
  ) async throws(HTTPFailure) -> [(id: String, score: Double)]

  /// - Throws: If the replica has ended.
  func report() async throws -> RoleReport
}

struct VersionedScores: Sendable {
  let scores: [[Double]]
  /// Of the model that they are from.
  let version: Int
}

/// A model as a path names it: `model`, with all of its tasks, or `model:task`.
struct NamedModel: Equatable {
  /// As the path has it.
  let name: String
  let tasks: [String]

  /// - Throws: 404 that names the models or tasks.
  init(_ name: String, in model: ModelSpec) throws(HTTPFailure) {
    self.name = name
    if name == model.name {
      tasks = model.tasks.map(\.name)
    } else if name.hasPrefix(model.name + ":") {
      let task = String(name.dropFirst(model.name.utf8.count + 1))
      tasks = model.tasks.map(\.name).filter { $0 == task }
      guard !tasks.isEmpty else {
        let names = model.tasks.map(\.name).joined(separator: ", ")
        throw HTTPFailure(
          .notFound, "model \(model.name) has no task `\(HTTPFailure.short(task))`; its tasks are \(names)")
      }
    } else {
      throw HTTPFailure(.notFound, "no model `\(HTTPFailure.short(name))`; the models are \(model.name)")
    }
  }
}

extension HTTPFailure {
  /// From what RESP would be answered with.
  init(_ error: WireError) {
    switch error.kind {
    case .tooBig: self.init(.tooBig, error.message)
    case .busy: self.init(.busy, error.message)
    case .loading: self.init(.loading, error.message)
    default: self.init(.badRequest, error.message)
    }
  }
}
