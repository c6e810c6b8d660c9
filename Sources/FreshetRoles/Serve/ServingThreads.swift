import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetModel
import FreshetNet
import FreshetWire
import Logging
import NIOCore
import Synchronization

/// The serving event loops, each with an endpoint of its own, and what they tell together.
final class ServingThreads: Sendable {
  struct Member: Sendable {
    let loop: any EventLoop
    let endpoint: NIOLoopBound<ServeEndpoint>
  }

  /// At least one.
  let members: [Member]
  private let byLoop: [ObjectIdentifier: NIOLoopBound<ServeEndpoint>]
  private let limits: ServingLimits
  private let activeTurn: ActiveTurn
  private let answering: Mutex<ServedModel>
  private let startedAt = Instant.now()
  private let listener = Mutex<RESPServer?>(nil)
  private let http = Mutex<HTTPServer?>(nil)
  private let promotions = Mutex<PromotionDesk?>(nil)

  private init(_ members: [Member], _ model: ServedModel, _ limits: ServingLimits, _ activeTurn: ActiveTurn) {
    self.members = members
    self.limits = limits
    self.activeTurn = activeTurn
    answering = Mutex(model)
    byLoop = Dictionary(uniqueKeysWithValues: members.map { (ObjectIdentifier($0.loop), $0.endpoint) })
  }

  /// - Parameter model: That answers at first.
  static func start(
    on loops: [any EventLoop], serving model: ServedModel, limits: ServingLimits
  ) async throws -> ServingThreads {
    let activeTurn = ActiveTurn()
    var members: [Member] = []
    for loop in loops {
      let endpoint = try await loop.submit {
        ThreadSchedule.answerPromptly()
        return NIOLoopBound(
          ServeEndpoint(engine: try model.makeEngine(limits: limits), activeTurn: activeTurn, loop: loop),
          eventLoop: loop)
      }.get()
      members.append(Member(loop: loop, endpoint: endpoint))
    }
    return ServingThreads(members, model, limits, activeTurn)
  }

  /// The model that answers.
  var served: ServedModel { answering.withLock { $0 } }

  // MARK: - Another model

  /// Has every thread ready to answer from a model. Called before `exchange`, by one at a time.
  func prepare(_ model: ServedModel) async throws {
    for member in members {
      try await member.loop.submit { [limits] in
        member.endpoint.value.prepared = try model.makeEngine(limits: limits)
      }.get()
    }
  }

  /// Takes `prepare` back.
  func unprepare() async throws {
    for member in members { try await member.loop.submit { member.endpoint.value.prepared = nil }.get() }
  }

  /// From now on the prepared model answers, on all threads at once.
  func exchange(to model: ServedModel) {
    answering.withLock { $0 = model }
    activeTurn.advance()
  }

  /// Returns when no request uses the model before the present one any more.
  func retirePrevious() async throws {
    for member in members {
      try await member.loop.flatSubmit {
        let retired = member.loop.makePromise(of: Void.self)
        member.endpoint.value.retire { retired.succeed() }
        return retired.futureResult
      }.get()
    }
  }

  /// For INFO.
  func set(listener: RESPServer) { self.listener.withLock { $0 = listener } }
  func set(http: HTTPServer?) { self.http.withLock { $0 = http } }
  func set(promotions: PromotionDesk) { self.promotions.withLock { $0 = promotions } }

  /// The endpoint of a loop, as what answers its connections.
  func service(on loop: any EventLoop) -> RESPServer.LoopService {
    guard let endpoint = byLoop[ObjectIdentifier(loop)] else { preconditionFailure("a connection on a foreign loop") }
    return RESPServer.LoopService(
      handler: { [self] in handle($0, $1, endpoint.value) }, endTurn: { endpoint.value.answerBurst() })
  }

  private func handle(_ request: RESPRequest, _ responder: RESPResponder, _ endpoint: ServeEndpoint) {
    if endpoint.handle(request, responder) { return }
    do throws(WireError) {
      switch try ServingCommand(request, limits: .standard) {
      case .info(let section): answerInfo(section, responder)
      case .checksum: served.answerChecksum(responder)
      case .promote(let command): answerPromotion(command, responder)
      default: throw request.unknownCommand
      }
    } catch {
      responder.fail(error)
    }
  }

  private func answerPromotion(_ command: PromotionCommand, _ responder: RESPResponder) {
    guard let desk = promotions.withLock({ $0 }) else {
      return responder.fail(WireError(.loading, "the replica is starting"))
    }
    let loop = responder.eventLoop
    Task {
      let result: Result<String, WireError>
      do throws(WireError) {
        result = .success(try await desk.perform(command).text(section: nil))
      } catch {
        result = .failure(error)
      }
      loop.execute {
        switch result {
        case .success(let text): responder.reply(.bulk(text))
        case .failure(let error): responder.fail(error)
        }
      }
    }
  }

  private func answerInfo(_ section: String?, _ responder: RESPResponder) {
    info(on: responder.eventLoop).whenComplete { result in
      switch result {
      case .success(let info): responder.reply(.bulk(info.text(section: section)))
      case .failure(let error): responder.fail(WireError(.err, "\(error)"))
      }
    }
  }

  /// Asks every serving thread for its figures and adds them up.
  func info(on loop: any EventLoop) -> EventLoopFuture<InfoText> {
    let served = served
    let promotions = promotions.withLock { $0 }
    let each = members.map { member in member.loop.submit { member.endpoint.value.figures } }
    return EventLoopFuture.whenAllSucceed(each, on: loop).map { [self] figures in
      let now = Instant.now()
      var info = InfoText()
      info.addProcess(role: "serve", startedAt: startedAt, now: now)
      info.add(notReady: figures[0].notReady)
      if let listener = listener.withLock({ $0 }) { info.add(listener.statistics) }
      if let http = http.withLock({ $0 }) { info.add(http.statistics) }
      info.add(model: served.configuration)
      promotions?.addStatus(to: &info)
      info.add(figures[0].replica, now: now)
      info.section("freshness")
      info.add(served.freshness.histogram, prefix: "", unit: "ms", as: .named("freshness"))
      info.add("unmeasured_examples", figures[0].replica.statistics.unmeasuredExamples)
      served.state?.add(to: &info)
      info.add(figures[0].catalog)
      info.add(figures)
      return info
    }
  }

  /// What HTTP says of the replica.
  func report() async throws -> RoleReport {
    let first = members[0]
    let info = try await info(on: first.loop).get()
    let notReady = try await first.loop.submit { first.endpoint.value.notReady }.get()
    return RoleReport(info: info, notReady: notReady)
  }
}
