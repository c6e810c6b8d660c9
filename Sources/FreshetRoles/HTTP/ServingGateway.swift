import FreshetHTTP
import FreshetModel
import FreshetWire
import NIOCore

/// The serving port's HTTP: turns requests of three protocols into calls of a `ScoringService`, and its answers into replies.
struct ServingGateway: Sendable {
  let service: any ScoringService
  /// nil asks nobody.
  let credentials: HTTPCredentials?
  let limits: ServingLimits

  func answer(_ request: HTTPRequest) async -> HTTPReply {
    do throws(HTTPFailure) {
      if let reply = try await MetricsPort.answer(request, credentials, report: service.report) { return reply }
      let model = service.model
      return try await answer(request, ServingRoute(request.segments, version: model.version), model)
    } catch {
      return error.reply
    }
  }

  /// - Parameter spec: The model that answered when the request came. Another one of its name may have taken over by the time its
  ///   scores are computed; it understands the same requests.
  private func answer(
    _ request: HTTPRequest, _ route: ServingRoute, _ spec: ModelSpec
  ) async throws(HTTPFailure) -> HTTPReply {
    switch route {
    case .serverLive, .serverReady: break
    default: try credentials?.check(request)
    }
    switch route {
    case .infer, .predict: try request.requirePost()
    case .recommend:
      guard ["GET", "HEAD", "POST"].contains(request.method) else {
        throw .method(request.method, allow: "GET, HEAD, POST")
      }
    default: try request.requireRead()
    }
    switch route {
    case .openAPI:
      return HTTPReply(status: 200, contentType: "application/json", body: OpenAPIDocument.json(of: spec))
    case .serverMetadata: return OpenInference.serverMetadata
    case .serverLive: return .health("live", true)
    case .serverReady: return try await MetricsPort.readiness(service.report)
    case .modelMetadata(let name): return OpenInference.metadata(of: try NamedModel(name, in: spec), spec)
    case .modelReady(let name): return try await OpenInference.ready(try NamedModel(name, in: spec), service.report)
    case .infer(let name): return try await infer(request, try NamedModel(name, in: spec), spec)
    case .modelStatus(let name):
      _ = try NamedModel(name, in: spec)
      return try await TensorFlowServing.status(version: spec.version, service.report)
    case .predict(let name): return try await predict(request, try NamedModel(name, in: spec), spec)
    case .recommend(let name): return try await recommend(request, try NamedModel(name, in: spec), spec)
    }
  }

  private func infer(
    _ request: HTTPRequest, _ model: NamedModel, _ spec: ModelSpec
  ) async throws(HTTPFailure) -> HTTPReply {
    guard request.headers["inference-header-content-length"] == nil else { throw OpenInference.noBinary }
    let inference = try RequestJSON.read(request.body) { (root) throws(HTTPFailure) in
      try OpenInferenceRequest(root, model)
    }
    let scores = try await score(inference.json, tasks: inference.outputs, request, version: spec.version)
    return OpenInference.reply(to: inference, of: model, scores)
  }

  private func predict(
    _ request: HTTPRequest, _ model: NamedModel, _ spec: ModelSpec
  ) async throws(HTTPFailure) -> HTTPReply {
    let prediction = try RequestJSON.read(request.body) { (root) throws(HTTPFailure) in
      try PredictRequest(root, spec)
    }
    let scores = try await score(prediction.json, tasks: model.tasks, request, version: spec.version)
    return TensorFlowServing.reply(to: prediction, tasks: model.tasks, scores.scores)
  }

  private func score(
    _ json: ByteBuffer, tasks: [String], _ request: HTTPRequest, version: Int
  ) async throws(HTTPFailure) -> VersionedScores {
    let scores = try await service.score(json, tasks: tasks)
    // The version that the path asks for may have gone while the request was under way.
    if scores.version != version, ServingRoute.namesVersion(request.segments) {
      throw ServingRoute.otherVersion(scores.version)
    }
    return scores
  }

  private func recommend(
    _ request: HTTPRequest, _ model: NamedModel, _ spec: ModelSpec
  ) async throws(HTTPFailure) -> HTTPReply {
    let limits = limits
    let asked: RecommendRequest
    if request.method == "POST" {
      asked = try RequestJSON.read(request.body) { (root) throws(HTTPFailure) in try RecommendRequest(root, limits) }
    } else {
      asked = try RecommendRequest(query: request.query, limits)
    }
    let task = model.tasks[0]
    let items = try await service.recommend(
      task: task, fields: asked.fields, topK: asked.topK, filters: asked.filters, exclude: asked.exclude)
    return RecommendRequest.reply(items, model: spec.name, task: task)
  }
}
