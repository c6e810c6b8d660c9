import FreshetCore
import FreshetDashboard
import FreshetHTTP
import NIOCore
import NIOPosix
import Testing

@testable import FreshetRoles

@Suite struct DashboardGatewayTests {
  private static func gateway(password: String? = nil, replicas: [String] = []) -> DashboardGateway {
    let cluster = ClusterDescription(
      version: "0", model: ServeFixture.model.name, modelVersion: 1, userKey: "user_id", itemKey: "item_id",
      tasks: ServeFixture.model.tasks.map(\.name),
      topics: .init(features: "f", actions: "a", items: "i", examples: "e", deadLetter: "d"),
      processes: replicas.enumerated().map { MonitoredProcess(role: .serve, number: $0, address: $1) }, intervalMs: 1000
    )
    let desk = DashboardDesk(cluster, titles: TitleCatalog(keyField: "item_id", titleField: "title", capacity: 10))
    return DashboardGateway(
      desk: desk, questions: ReplicaQuestions(desk: desk, password: nil, on: MultiThreadedEventLoopGroup.singleton),
      model: ServeFixture.model, credentials: HTTPCredentials(password: password)
    ) {
      RoleReport(info: desk.info, notReady: nil)
    }
  }

  private static func ask(
    _ target: String, _ method: String = "GET", headers: [String: String] = [:],
    of gateway: DashboardGateway = gateway()
  ) async throws -> HTTPReply {
    await gateway.answer(try HTTPRequest(method: method, target: target, headers: headers, body: ByteBuffer()))
  }

  @Test func everyReplyForbidsWhatThePageDoesNotNeed() async throws {
    for target in ["/", "/dashboard.css", "/api/state", "/elsewhere", "/metrics", "/health/live"] {
      let reply = try await Self.ask(target)
      let headers = Dictionary(reply.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
      #expect(headers["Content-Security-Policy"] == DashboardPage.contentSecurityPolicy, "\(target)")
      #expect(headers["X-Content-Type-Options"] == "nosniff" && headers["Referrer-Policy"] == "no-referrer")
      #expect(headers["Cache-Control"] == (target.hasPrefix("/api") ? "no-store" : "no-cache"))
    }
  }

  @Test func thePageAndItsFilesAreThere() async throws {
    for (name, file) in DashboardPage.files {
      let reply = try await Self.ask("/" + name)
      #expect(reply.status == 200 && reply.contentType == file.contentType, "\(name)")
      #expect(Array(reply.body.readableBytesView) == file.bytes && !file.bytes.isEmpty, "\(name)")
    }
  }

  @Test(arguments: ["POST", "PUT", "DELETE", "PATCH"])
  func nothingCanBeChanged(_ method: String) async throws {
    for target in ["/", "/api/state", "/api/recommend?user_id=1", "/metrics"] {
      let reply = try await Self.ask(target, method)
      #expect(reply.status == 405 && reply.allow == "GET, HEAD", "\(target)")
    }
  }

  @Test(arguments: [
    ("/nowhere", 404), ("/api", 404), ("/api/state/x", 404), ("//", 404), ("/dashboard.css/", 404), ("/../x", 404),
    ("/api/history?after=1.5", 400), ("/api/history?range=month", 400), ("/api/history?when=now", 400),
    ("/api/recommend?topk=0", 400), ("/api/recommend/nobody", 404), ("/api/score?user_id=1", 400),
  ])
  func whatIsWrongIsRefused(_ target: String, _ status: Int) async throws {
    #expect(try await Self.ask(target).status == status)
  }

  @Test func aQuestionThatNoReplicaAnswersSaysWhyOfEach() async throws {
    let nobody = try await Self.ask("/api/recommend?user_id=1")
    #expect(nobody.status == 503 && String(buffer: nobody.body).contains("dashboard.replicas"))
    // Nothing listens on these.
    let closed = Self.gateway(replicas: ["127.0.0.1:1", "127.0.0.1:2"])
    let reply = try await Self.ask("/api/recommend?user_id=1", of: closed)
    #expect(reply.status == 503 && reply.retryAfterSeconds == 1)
    let text = String(buffer: reply.body)
    #expect(
      text.contains("127.0.0.1:1: Connection refused") && text.contains("127.0.0.1:2: Connection refused"), "\(text)")
    #expect(text.contains(#""code":"UNAVAILABLE""#))
  }

  @Test func aPasswordIsAskedForEverywhereButAtTheHealthPaths() async throws {
    let gateway = Self.gateway(password: "secret")
    for target in ["/", "/api/state", "/dashboard.js", "/metrics", "/nowhere"] {
      #expect(try await Self.ask(target, of: gateway).status == 401, "\(target)")
      let right = ["authorization": "Bearer secret"]
      #expect(try await Self.ask(target, headers: right, of: gateway).status != 401, "\(target)")
    }
    #expect(try await Self.ask("/health/ready", of: gateway).status == 200)
  }
}
