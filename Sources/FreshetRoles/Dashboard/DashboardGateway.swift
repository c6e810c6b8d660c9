import FreshetDashboard
import FreshetHTTP
import FreshetModel
import FreshetWire
import NIOCore

/// The dashboard's HTTP: its page, what the page asks for, metrics and health. Nothing of it changes anything.
struct DashboardGateway: Sendable {
  let desk: DashboardDesk
  let questions: ReplicaQuestions
  let model: ModelSpec
  /// nil asks nobody.
  let credentials: HTTPCredentials?
  let report: @Sendable () -> RoleReport

  func answer(_ request: HTTPRequest) async -> HTTPReply {
    var reply: HTTPReply
    do throws(HTTPFailure) {
      if let metrics = try await MetricsPort.answer(request, credentials, report: report) {
        reply = metrics
      } else {
        try credentials?.check(request)
        try request.requireRead()
        reply = try await answer(path: request.segments, request)
      }
    } catch {
      reply = error.reply
    }
    reply.headers += [
      ("Content-Security-Policy", DashboardPage.contentSecurityPolicy), ("X-Content-Type-Options", "nosniff"),
      ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"),
      ("Cache-Control", request.segments.first == "api" ? "no-store" : "no-cache"),
    ]
    return reply
  }

  private func answer(path: [String], _ request: HTTPRequest) async throws(HTTPFailure) -> HTTPReply {
    switch (path.first, path.dropFirst().first, path.count) {
    case ("api", "state", 2): return .json(desk.state)
    case ("api", "history", 2): return .json(try history(request.query))
    case ("api", "recommend", 2...3): return try await recommend(task: path.dropFirst(2).first, request.query)
    case ("api", "score", 2...3): return try await score(task: path.dropFirst(2).first, request.query)
    case (let name?, nil, 1):
      guard let file = DashboardPage.files[name] else { throw Self.unknown }
      return HTTPReply(status: 200, contentType: file.contentType, body: ByteBuffer(bytes: file.bytes))
    default: throw Self.unknown
    }
  }

  private static var unknown: HTTPFailure {
    HTTPFailure(
      .notFound, "no such path; there are /, /api/state, /api/history, /api/recommend, /api/score, /metrics and /health"
    )
  }

  /// `?range=short|long&after=NUMBER`, both of which may be left out.
  private func history(_ query: [(name: String, value: String)]) throws(HTTPFailure) -> ByteBuffer {
    var (isLong, after) = (false, -1)
    for (name, value) in query {
      switch (name, value) {
      case ("range", "short"): isLong = false
      case ("range", "long"): isLong = true
      case ("after", _):
        guard let number = Int(value) else {
          throw HTTPFailure(.badRequest, "`after` must be an integer, not `\(HTTPFailure.short(value))`")
        }
        after = max(-1, number)
      default: throw HTTPFailure(.badRequest, "the parameters are `range`, which is `short` or `long`, and `after`")
      }
    }
    return desk.history(isLong: isLong, after: after)
  }

  // MARK: - Questions

  private func task(_ name: String?) throws(HTTPFailure) -> String {
    let named = try NamedModel(name.map { "\(model.name):\($0)" } ?? model.name, in: model)
    return named.tasks[0]
  }

  /// As `/v1/recommend` of a replica, with titles.
  private func recommend(
    task name: String?, _ query: [(name: String, value: String)]
  ) async throws(HTTPFailure) -> HTTPReply {
    let task = try task(name)
    let asked = try RecommendRequest(query: query, ServingLimits(maxCandidates: ReplicaQuestions.maximumItems))
    let answer = try await questions.recommend(
      .recommend(
        model: "\(model.name):\(task)", fields: asked.fields, topK: asked.topK, filters: asked.filters,
        exclude: asked.exclude))
    return reply(answer, task: task)
  }

  /// Every parameter is a field; those of the item's key are the items.
  private func score(
    task name: String?, _ query: [(name: String, value: String)]
  ) async throws(HTTPFailure) -> HTTPReply {
    let task = try task(name)
    let key = model.fields[model.itemKey].name
    let ids = query.filter { $0.name == key }.map(\.value)
    guard (1...ReplicaQuestions.maximumItems).contains(ids.count) else {
      throw HTTPFailure(
        .badRequest, "`\(key)` is given \(ids.count) times; it must be 1 to \(ReplicaQuestions.maximumItems) times")
    }
    let fields = query.filter { $0.name != key }.map { RequestField(name: $0.name, value: $0.value) }
    let answer = try await questions.score(
      .score(model: "\(model.name):\(task)", fields: fields, candidates: .init(field: key, values: ids)), ids: ids)
    return reply(answer, task: task)
  }

  private func reply(_ answer: ReplicaQuestions.Answer, task: String) -> HTTPReply {
    .json { writer in
      writer.beginObject()
      writer.key("task")
      writer.write(task)
      writer.key("replica")
      writer.write(answer.replica)
      writer.key("milliseconds")
      writer.write((answer.milliseconds * 100).rounded() / 100)
      writer.key("items")
      writer.beginArray()
      for (id, score) in answer.items {
        writer.beginObject()
        writer.key("id")
        writer.write(id)
        writer.key("title")
        if let title = desk.title(of: id) { writer.write(title) } else { writer.writeNull() }
        writer.key("score")
        writer.write(score)
        writer.endObject()
      }
      writer.endArray()
      writer.endObject()
    }
  }
}

extension HTTPReply {
  fileprivate static func json(_ body: ByteBuffer) -> HTTPReply {
    HTTPReply(status: 200, contentType: "application/json", body: body)
  }
}
