import Foundation
import FreshetHTTP
import FreshetModel
import FreshetWire
import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import FreshetRoles

/// Keeps what it is asked, and answers with given scores.
private final class RecordingService: ScoringService {
  struct Asked {
    var json = ""
    var tasks: [String] = []
    var fields: [RequestField] = []
    var topK = 0
    var filters: [RequestField] = []
    var exclude: [String] = []
  }

  let model = ServeFixture.model
  let scores: [[Double]]
  let failure: HTTPFailure?
  private let state = NIOLockedValueBox(Asked())
  var asked: Asked { state.withLockedValue { $0 } }

  init(scores: [[Double]] = [], failure: HTTPFailure? = nil) {
    self.scores = scores
    self.failure = failure
  }

  func score(_ json: ByteBuffer, tasks: [String]) async throws(HTTPFailure) -> VersionedScores {
    state.withLockedValue {
      $0.json = String(buffer: json)
      $0.tasks = tasks
    }
    if let failure { throw failure }
    return VersionedScores(scores: Array(scores.prefix(tasks.count)), version: 1)
  }

  func recommend(
    task: String, fields: [RequestField], topK: Int, filters: [RequestField], exclude: [String]
  ) async throws(HTTPFailure) -> [(id: String, score: Double)] {
    state.withLockedValue {
      $0 = Asked(tasks: [task], fields: fields, topK: topK, filters: filters, exclude: exclude)
    }
    if let failure { throw failure }
    return [("b\"", 0.75), ("a", 0.5)]
  }

  func report() async throws -> RoleReport { RoleReport(info: InfoText(), notReady: failure?.message) }
}

@Suite struct ServingGatewayTests {
  private static func ask(
    _ service: RecordingService, _ method: String, _ target: String, _ body: String = ""
  ) async throws -> (status: Int, body: String) {
    let gateway = ServingGateway(service: service, credentials: nil, limits: ServingLimits(maxCandidates: 100))
    let request = try HTTPRequest(method: method, target: target, headers: [:], body: ByteBuffer(string: body))
    let reply = await gateway.answer(request)
    return (reply.status, String(buffer: reply.body))
  }

  @Test func tensorsBecomeCandidatesAndThoseOfOneValueTheContext() async throws {
    let service = RecordingService(scores: [[0.5, 0.25], [0.1, 1]])
    let (status, body) = try await Self.ask(
      service, "POST", "/v2/models/shop/infer",
      #"""
      {"id":"7","parameters":{"x":1},"inputs":[
        {"name":"user_id","shape":[1],"datatype":"UINT64","data":[18446744073709551615]},
        {"name":"item_id","shape":[2,1],"datatype":"INT64","data":[[1],2]},
        {"name":"zip","shape":[2],"datatype":"BYTES","data":["a\"\u0001","é"]},
        {"name":"year","shape":[2],"datatype":"FP32","data":[0.1,-0.0]}]}
      """#)
    #expect(status == 200)
    #expect(
      service.asked.json
        == #"{"context":{"user_id":18446744073709551615},"candidates":[{"item_id":1,"zip":"a\"\u0001","year":0.1},"#
        + #"{"item_id":2,"zip":"é","year":-0.0}]}"#)
    #expect(service.asked.tasks == ["click", "buy"])
    #expect(
      body
        == #"{"model_name":"shop","model_version":"1","id":"7","outputs":[{"name":"click","datatype":"FP64","shape":[2],"#
        + #""data":[0.5,0.25]},{"name":"buy","datatype":"FP64","shape":[2],"data":[0.1,1.0]}]}"#)
  }

  @Test func outputsAreTheTasksAskedForInTheirOrder() async throws {
    let service = RecordingService(scores: [[0.5], [0.25]])
    let inputs = #""inputs":[{"name":"item_id","shape":[1],"datatype":"INT8","data":[1]}]"#
    _ = try await Self.ask(
      service, "POST", "/v2/models/shop/infer", #"{\#(inputs),"outputs":[{"name":"buy"},{"name":"click"}]}"#)
    #expect(service.asked.tasks == ["buy", "click"])
    #expect(service.asked.json == #"{"context":{},"candidates":[{"item_id":1}]}"#)
    let (_, body) = try await Self.ask(service, "POST", "/v2/models/shop:buy/infer", "{\(inputs)}")
    #expect(service.asked.tasks == ["buy"])
    #expect(body.contains(#""model_name":"shop:buy""#))
    let (status, _) = try await Self.ask(
      service, "POST", "/v2/models/shop:buy/infer", #"{\#(inputs),"outputs":[{"name":"click"}]}"#)
    #expect(status == 400)
  }

  @Test func rowsAndColumnsOfSeveralTasksHaveNames() async throws {
    let service = RecordingService(scores: [[0.5, 0.25], [0.125, 1]])
    let rows = try await Self.ask(
      service, "POST", "/v1/models/shop:predict",
      #"{"signature_name":"serving_default","instances":[{"item_id":[1],"tags":["x"],"gender":null},{"tags":["x","y"]}]}"#
    )
    #expect(
      service.asked.json == #"{"candidates":[{"item_id":1,"tags":["x"],"gender":null},{"tags":["x","y"]}]}"#)
    #expect(rows.body == #"{"predictions":[{"click":0.5,"buy":0.125},{"click":0.25,"buy":1.0}]}"#)
    let columns = try await Self.ask(
      service, "POST", "/v1/models/shop/versions/1:predict",
      #"{"inputs":{"user_id":7,"item_id":[1,[2]],"tags":[["x"],"y|z"]}}"#)
    #expect(
      service.asked.json
        == #"{"context":{"user_id":7},"candidates":[{"item_id":1,"tags":["x"]},{"item_id":2,"tags":"y|z"}]}"#)
    #expect(columns.body == #"{"outputs":{"click":[0.5,0.25],"buy":[0.125,1.0]}}"#)
    let one = try await Self.ask(service, "POST", "/v1/models/shop:click:predict", #"{"instances":[{},{}]}"#)
    #expect(one.body == #"{"predictions":[0.5,0.25]}"#)
  }

  @Test func recommendationsTakeFieldsFromTheQueryOrTheBody() async throws {
    let service = RecordingService()
    let (_, body) = try await Self.ask(
      service, "GET", "/v1/recommend/shop:buy?user_id=1&tags=x&tags=y&topk=3&where.brand=b&exclude=4&exclude=5,6")
    #expect(body == #"{"model":"shop","task":"buy","items":[{"id":"b\"","score":0.75},{"id":"a","score":0.5}]}"#)
    let byQuery = service.asked
    #expect(
      byQuery.fields.map(\.name) == ["user_id", "tags", "tags"] && byQuery.fields.map(\.value) == ["1", "x", "y"])
    #expect(byQuery.topK == 3 && byQuery.exclude == ["4", "5,6"] && byQuery.tasks == ["buy"])
    _ = try await Self.ask(
      service, "POST", "/v1/recommend/shop:buy",
      #"{"context":{"user_id":1,"tags":["x","y"],"zip":null},"topk":3,"where":{"brand":"b"},"exclude":[4,"5,6"]}"#)
    #expect(service.asked.fields == byQuery.fields && service.asked.exclude == byQuery.exclude)
    #expect(byQuery.filters == [RequestField(name: "brand", value: "b")] && service.asked.filters == byQuery.filters)
    _ = try await Self.ask(service, "POST", "/v1/recommend/shop", "{}")
    #expect(service.asked.topK == 10 && service.asked.tasks == ["click"])
  }

  @Test func failuresOfTheEngineBecomeStatuses() async throws {
    for (error, status) in [
      (WireError(.err, "x"), 400), (WireError(.loading, "x"), 503), (WireError(.busy, "x"), 503),
      (WireError(.tooBig, "x"), 413),
    ] {
      let service = RecordingService(failure: HTTPFailure(error))
      let reply = try await Self.ask(service, "POST", "/v1/models/shop:predict", #"{"instances":[]}"#)
      #expect(reply.status == status)
      let recommendation = try await Self.ask(service, "GET", "/v1/recommend/shop")
      #expect(recommendation.status == status)
    }
  }

  @Test(arguments: [
    "", "null", "[]", "1", "{", "{}x", #"{"inputs":null}"#, #"{"inputs":[]}"#, #"{"inputs":{}}"#, #"{"inputs":[[]]}"#,
    #"{"inputs":[{}]}"#, #"{"inputs":[{"name":1}]}"#, #"{"instances":{}}"#, #"{"instances":[[]]}"#,
    #"{"instances":[null]}"#,
    #"{"context":[]}"#, #"{"topk":"3"}"#, #"{"topk":null}"#, #"{"exclude":{}}"#, #"{"exclude":[[1]]}"#,
    #"{"exclude":[true]}"#,
    #"{"topk":99999999999999999999}"#, #"{"context":{"user_id":[[1]]}}"#,
  ])
  func bodiesOfAnotherShapeAreRefusedByEveryPath(body: String) async throws {
    let service = RecordingService(scores: [[], []])
    for path in ["/v2/models/shop/infer", "/v1/models/shop:predict", "/v1/recommend/shop"] {
      let reply = try await Self.ask(service, "POST", path, body)
      #expect(reply.status == 400, "\(path): \(reply.body)")
    }
  }

  @Test func damagedBodiesNeverTrap() async throws {
    let service = RecordingService(scores: [[0.5, 0.5], [0.5, 0.5]])
    let bodies = [
      ("/v2/models/shop/infer", #"{"inputs":[{"name":"item_id","shape":[2,1],"datatype":"INT64","data":[1,[2]]}]}"#),
      ("/v1/models/shop:predict", #"{"inputs":{"item_id":[1,[2]],"tags":["x",["y","z"]]}}"#),
      ("/v1/recommend/shop", #"{"context":{"user_id":1.5,"tags":["x"]},"topk":3,"exclude":[1,"2"]}"#),
    ]
    for (path, body) in bodies {
      for cut in 0...body.utf8.count {
        var bytes = Array(body.utf8.prefix(cut))
        _ = try await Self.ask(service, "POST", path, String(decoding: bytes, as: UTF8.self))
        guard cut < body.utf8.count else { continue }
        bytes = Array(body.utf8)
        for replacement in Array("0\"{}[],-".utf8) {
          bytes[cut] = replacement
          let reply = try await Self.ask(service, "POST", path, String(decoding: bytes, as: UTF8.self))
          #expect([200, 400].contains(reply.status), "\(reply)")
        }
      }
    }
  }
}
