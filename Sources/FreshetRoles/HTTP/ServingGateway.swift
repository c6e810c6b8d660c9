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
      return try await answer(request, ServingRoute(request.segments))
    } catch {
      return error.reply
    }
  }

  private func answer(_ request: HTTPRequest, _ route: ServingRoute) async throws(HTTPFailure) -> HTTPReply {
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
      return HTTPReply(status: 200, contentType: "application/json", body: OpenAPIDocument.json(of: service.model))
    case .serverMetadata: return OpenInference.serverMetadata
    case .serverLive: return .health("live", true)
    case .serverReady: return try await MetricsPort.readiness(service.report)
    case .modelMetadata(let name): return OpenInference.metadata(of: try named(name), service.model)
    case .modelReady(let name): return try await OpenInference.ready(try named(name), service.report)
    case .infer(let name): return try await infer(request, try named(name))
    case .modelStatus(let name):
      _ = try named(name)
      return try await TensorFlowServing.status(service.report)
    case .predict(let name): return try await predict(request, try named(name))
    case .recommend(let name): return try await recommend(request, try named(name))
    }
  }

  private func named(_ name: String) throws(HTTPFailure) -> NamedModel { try NamedModel(name, in: service.model) }

  private func infer(_ request: HTTPRequest, _ model: NamedModel) async throws(HTTPFailure) -> HTTPReply {
    guard request.headers["inference-header-content-length"] == nil else { throw OpenInference.noBinary }
    let inference = try RequestJSON.read(request.body) { (root) throws(HTTPFailure) in
      try OpenInferenceRequest(root, model)
    }
    let scores = try await service.score(inference.json, tasks: inference.outputs)
    return OpenInference.reply(to: inference, of: model, scores)
  }

  private func predict(_ request: HTTPRequest, _ model: NamedModel) async throws(HTTPFailure) -> HTTPReply {
    let spec = service.model
    let prediction = try RequestJSON.read(request.body) { (root) throws(HTTPFailure) in
      try PredictRequest(root, spec)
    }
    let scores = try await service.score(prediction.json, tasks: model.tasks)
    return TensorFlowServing.reply(to: prediction, tasks: model.tasks, scores)
  }

  private func recommend(_ request: HTTPRequest, _ model: NamedModel) async throws(HTTPFailure) -> HTTPReply {
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
    return RecommendRequest.reply(items, model: service.model.name, task: task)
  }
}
