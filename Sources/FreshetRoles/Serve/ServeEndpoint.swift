import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import Logging
import NIOCore
import Synchronization

/// Turns requests into calls of the `ServingEngine` and its answers into replies. Lives on one of the serving event loops, of
/// which each has its own.
final class ServeEndpoint {
  /// Recommendations that wait for their turn; more are refused.
  private static let maximumRecommendations = 1024

  private struct Pending {
    let recommendation: Recommendation
    /// That began it, and ends it.
    let engine: ServingEngine
    /// Whether somebody still waits for it.
    let isWanted: () -> Bool
    let startedAt: Instant
    let reply: (Result<[(id: String, score: Double)], WireError>) -> Void
  }

  /// Who asked for scores, and when.
  private struct Asker {
    let responder: RESPResponder
    let startedAt: Instant
  }

  /// A `SCORE` of more words is answered by itself.
  private static let burstRequestWords = ServingEngine.burstWords / 4

  private(set) var engine: ServingEngine
  /// Of `engine`.
  private var turn: Int
  private let activeTurn: ActiveTurn
  private let loop: any EventLoop
  /// The engine of the next turn.
  var prepared: ServingEngine?
  /// The engine before this one, as long as it has recommendations to end.
  private var retiring: ServingEngine?
  /// Of the engines that are no more.
  private var past = ServingStatistics()
  private var pastUnknownFids: UInt64 = 0
  private var onRetired: (() -> Void)?
  /// Small `SCORE`s of this turn of the event loop, from all connections, which are scored together at its end.
  private var burst: ContiguousArray<RESPRequest> = []
  private var askers: ContiguousArray<Asker> = []
  private var burstWords = 0
  private var recommendations = CircularBuffer<Pending>()
  private var scoreLatency = RecentHistogram.latencies()
  private var recommendationLatency = RecentHistogram.latencies()

  /// - Parameter activeTurn: Says which engine answers: when it goes on, that is the one in `prepared`.
  init(engine: ServingEngine, activeTurn: ActiveTurn, loop: any EventLoop) {
    self.engine = engine
    self.activeTurn = activeTurn
    turn = activeTurn.number
    self.loop = loop
  }

  var figures: ServingFigures {
    takeTurn()
    var statistics = past
    for each in [engine] + (retiring.map { [$0] } ?? []) { statistics.add(each.statistics) }
    return ServingFigures(
      statistics: statistics,
      unknownFids: pastUnknownFids + engine.scorer.unknownFids + (retiring?.scorer.unknownFids ?? 0),
      scores: scoreLatency, recommendations: recommendationLatency, replica: engine.reader.status,
      catalog: engine.reader.read { _ in CatalogFigures(engine.catalog) }, notReady: notReady)
  }

  /// Why scores would be refused, if they would be.
  var notReady: String? {
    takeTurn()
    do throws(WireError) {
      try engine.checkReady()
      return nil
    } catch {
      return error.message
    }
  }

  /// - Returns: False for a command that is not one thread's to answer.
  func handle(_ request: RESPRequest, _ responder: RESPResponder) -> Bool {
    takeTurn()
    let name = request.name
    let startedAt = responder.receivedAt
    if name == "SCORE", request.count <= Self.burstRequestWords, engine.scoresBursts {
      addToBurst(request, Asker(responder: responder, startedAt: startedAt))
      return true
    }
    // Replies of a connection are made in the order of its requests.
    answerBurst()
    do throws(WireError) {
      switch name {
      case "SCORE":
        reply(try engine.score(request), responder, since: startedAt)
        return true
      case "SCOREJSON":
        reply(try engine.scoreJSON(request), responder, since: startedAt)
        return true
      case "INFO", "CHECKSUM", "PROMOTE": return false
      default: break
      }
      switch try ServingCommand(request, limits: engine.limits) {
      case .score, .scoreJSON: preconditionFailure("answered above")
      case .recommend(let model, let fields, let topK, let filters, let exclude):
        let recommendation = try beginRecommendation(
          model: model, fields: fields, topK: topK, filters: filters, exclude: exclude)
        enqueue(
          Pending(
            recommendation: recommendation, engine: engine, isWanted: { responder.isConnected }, startedAt: startedAt
          ) { result in
            switch result {
            case .success(let items): responder.reply { $0.write(recommendation: items) }
            case .failure(let error): responder.fail(error)
            }
          })
      case .models:
        let now = Instant.now()
        responder.reply { engine.writeModels(to: &$0, now: now) }
      case .row(let table, let fid):
        let row = try engine.row(table: table, fid: fid)
        responder.reply { $0.write(row: row) }
      case .checksum, .info, .promote: preconditionFailure("left to others above")
      }
    } catch {
      if name == "SCORE" || name == "SCOREJSON" || name == "RECOMMEND" {
        engine.statistics.refused += 1
      }
      responder.fail(error)
    }
    return true
  }

  private func addToBurst(_ request: RESPRequest, _ asker: Asker) {
    if burstWords + request.count > ServingEngine.burstWords { answerBurst() }
    if burst.isEmpty { asker.responder.wantsEndOfTurn() }
    burst.append(request)
    askers.append(asker)
    burstWords += request.count
  }

  /// Scores what has been put by and replies to it, in order where that can be.
  func answerBurst() {
    guard !burst.isEmpty else { return }
    takeTurn()
    var scoredAt: Instant?
    engine.score(burst) { number, result in
      let asker = askers[number]
      switch result {
      case .success(let scored):
        asker.responder.reply { engine.write(scored, to: &$0) }
        let now = scoredAt ?? Instant.now()
        scoredAt = now
        scoreLatency.record(since: asker.startedAt, until: now)
      case .failure(let error):
        engine.statistics.refused += 1
        asker.responder.fail(error)
      }
    }
    burst.removeAll(keepingCapacity: true)
    askers.removeAll(keepingCapacity: true)
    burstWords = 0
  }

  private func reply(_ scored: ScoredRequest, _ responder: RESPResponder, since startedAt: Instant) {
    responder.reply { engine.write(scored, to: &$0) }
    recordScore(since: startedAt)
  }

  func recordScore(since startedAt: Instant) { scoreLatency.record(since: startedAt) }

  // MARK: - Recommendations

  private func beginRecommendation(
    model: String, fields: [RequestField], topK: Int, filters: [RequestField], exclude: [String]
  ) throws(WireError) -> Recommendation {
    guard recommendations.count < Self.maximumRecommendations else {
      throw WireError(.busy, "\(recommendations.count) recommendations wait, which is the limit; try again later")
    }
    return try engine.beginRecommendation(
      model: model, fields: fields, topK: topK, filters: filters, exclude: exclude)
  }

  /// The same for those who ask not by RESP.
  func recommend(
    model: String, fields: [RequestField], topK: Int, filters: [RequestField], exclude: [String],
    reply: @escaping (Result<[(id: String, score: Double)], WireError>) -> Void
  ) {
    let startedAt = Instant.now()
    takeTurn()
    do throws(WireError) {
      let recommendation = try beginRecommendation(
        model: model, fields: fields, topK: topK, filters: filters, exclude: exclude)
      enqueue(
        Pending(
          recommendation: recommendation, engine: engine, isWanted: { true }, startedAt: startedAt, reply: reply))
    } catch {
      engine.statistics.refused += 1
      reply(.failure(error))
    }
  }

  private func enqueue(_ pending: Pending) {
    recommendations.append(pending)
    if recommendations.count == 1 { advance() }
  }

  /// Scores one chunk of the oldest recommendation in each turn of the event loop.
  private func advance() {
    guard let pending = recommendations.first else { return }
    if !pending.isWanted() {
      recommendations.removeFirst()
      pending.reply(.failure(WireError(.connection, "the client has gone")))
    } else {
      do throws(WireError) {
        if try pending.engine.advance(pending.recommendation) {
          recommendations.removeFirst()
          let result = pending.recommendation.result
          pending.reply(.success(result))
          recommendationLatency.record(since: pending.startedAt)
        }
      } catch {
        recommendations.removeFirst()
        pending.engine.statistics.refused += 1
        pending.reply(.failure(error))
      }
    }
    if retiring != nil { endRetirement() }
    guard !recommendations.isEmpty else { return }
    loop.assumeIsolated().execute { [self] in advance() }
  }

  // MARK: - Turns

  /// Every request begins with this: it is answered wholly by the model whose turn it is then. A client that has had an answer of
  /// one model never has an older one's afterwards, on whatever thread.
  @inline(__always)
  func takeTurn() {
    if _slowPath(activeTurn.number != turn) { exchange() }
  }

  private func exchange() {
    guard let next = prepared else { preconditionFailure("the turn of an engine that was not prepared") }
    turn = activeTurn.number
    retiring = engine
    engine = next
    prepared = nil
    endRetirement()
  }

  /// Calls back, on the loop, once nothing of the model before this one is in use any more.
  func retire(_ completion: @escaping () -> Void) {
    takeTurn()
    guard retiring != nil else { return completion() }
    onRetired = completion
  }

  private func endRetirement() {
    guard let old = retiring, !recommendations.contains(where: { $0.engine === old }) else { return }
    past.add(old.statistics)
    pastUnknownFids += old.scorer.unknownFids
    retiring = nil
    onRetired?()
    onRetired = nil
  }
}

/// Which of a replica's models answers, by number: one store changes it for all serving threads.
final class ActiveTurn: Sendable {
  private let value = Atomic<Int>(0)

  @inline(__always)
  var number: Int { value.load(ordering: .acquiring) }

  /// From now on every request is answered by what endpoints have in `prepared`.
  func advance() { value.add(1, ordering: .acquiringAndReleasing) }
}
