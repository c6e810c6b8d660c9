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
  private let freshness: FreshnessRecord
  private let state: ReplicaStateStatus?
  private let answerChecksum: @Sendable (RESPResponder) -> Void
  private let startedAt = Instant.now()
  private let listener = Mutex<RESPServer?>(nil)
  private let http = Mutex<HTTPServer?>(nil)

  private init(
    _ members: [Member], freshness: FreshnessRecord, state: ReplicaStateStatus?,
    answerChecksum: @escaping @Sendable (RESPResponder) -> Void
  ) {
    self.members = members
    self.freshness = freshness
    self.state = state
    self.answerChecksum = answerChecksum
    byLoop = Dictionary(uniqueKeysWithValues: members.map { (ObjectIdentifier($0.loop), $0.endpoint) })
  }

  /// - Parameters:
  ///   - state: Of the saved copy, if there is one.
  ///   - answerChecksum: Called on any loop for `CHECKSUM`, which takes the thread that changes the rows.
  ///   - makeEngine: Called on each loop, for an engine that stays there.
  static func start(
    on loops: [any EventLoop], freshness: FreshnessRecord, state: ReplicaStateStatus?,
    answerChecksum: @escaping @Sendable (RESPResponder) -> Void,
    makeEngine: @escaping @Sendable () throws -> ServingEngine
  ) async throws -> ServingThreads {
    var members: [Member] = []
    for loop in loops {
      let endpoint = try await loop.submit {
        NIOLoopBound(ServeEndpoint(engine: try makeEngine(), loop: loop), eventLoop: loop)
      }.get()
      members.append(Member(loop: loop, endpoint: endpoint))
    }
    return ServingThreads(members, freshness: freshness, state: state, answerChecksum: answerChecksum)
  }

  /// For INFO.
  func set(listener: RESPServer) { self.listener.withLock { $0 = listener } }
  func set(http: HTTPServer?) { self.http.withLock { $0 = http } }

  /// The endpoint of a connection's loop, as the handler of its requests.
  func handler(on loop: any EventLoop) -> RESPServer.Handler {
    guard let endpoint = byLoop[ObjectIdentifier(loop)] else { preconditionFailure("a connection on a foreign loop") }
    return { [self] request, responder in
      if endpoint.value.handle(request, responder) { return }
      do throws(WireError) {
        switch try ServingCommand(request, limits: .standard) {
        case .info(let section): answerInfo(section, responder)
        case .checksum: answerChecksum(responder)
        default: throw request.unknownCommand
        }
      } catch {
        responder.fail(error)
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
    let each = members.map { member in member.loop.submit { member.endpoint.value.figures } }
    return EventLoopFuture.whenAllSucceed(each, on: loop).map { [self] figures in
      let now = Instant.now()
      var info = InfoText()
      info.addProcess(role: "serve", startedAt: startedAt, now: now)
      if let listener = listener.withLock({ $0 }) { info.add(listener.statistics) }
      if let http = http.withLock({ $0 }) { info.add(http.statistics) }
      info.add(figures[0].replica, now: now)
      info.section("freshness")
      let ages = freshness.histogram
      info.add(ages.summary, prefix: "", unit: "ms")
      info.add(ages.recent(now: now), prefix: "recent_", unit: "ms")
      info.add("unmeasured_examples", figures[0].replica.statistics.unmeasuredExamples, as: .counter)
      state?.add(to: &info)
      info.add(figures[0].catalog)
      info.add(figures, now: now)
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
