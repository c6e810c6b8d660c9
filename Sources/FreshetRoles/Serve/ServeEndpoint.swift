import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import Logging
import NIOCore

/// Turns requests into calls of the `ServingEngine` and its answers into replies. Lives on one of the serving event loops, of
/// which each has its own.
final class ServeEndpoint {
  /// Recommendations that wait for their turn; more are refused.
  private static let maximumRecommendations = 1024
  /// A minute.
  private static let longestLatencyMicroseconds: UInt64 = 60_000_000

  private struct Pending {
    let recommendation: Recommendation
    /// Whether somebody still waits for it.
    let isWanted: () -> Bool
    let startedAt: Instant
    let reply: (Result<[(id: String, score: Double)], WireError>) -> Void
  }

  let engine: ServingEngine
  private let loop: any EventLoop
  private var recommendations = CircularBuffer<Pending>()
  private var latency = RecentHistogram(highest: longestLatencyMicroseconds)

  init(engine: ServingEngine, loop: any EventLoop) {
    self.engine = engine
    self.loop = loop
  }

  var figures: ServingFigures {
    ServingFigures(
      statistics: engine.statistics, unknownFids: engine.scorer.unknownFids, latency: latency,
      replica: engine.reader.status, catalog: engine.reader.read { _ in CatalogFigures(engine.catalog) })
  }

  /// Why scores would be refused, if they would be.
  var notReady: String? {
    do throws(WireError) {
      try engine.checkReady()
      return nil
    } catch {
      return error.message
    }
  }

  /// - Returns: False for a command that is not one thread's to answer.
  func handle(_ request: RESPRequest, _ responder: RESPResponder) -> Bool {
    let startedAt = responder.receivedAt
    do throws(WireError) {
      switch request.name {
      case "SCORE":
        reply(try engine.score(request), responder, since: startedAt)
        return true
      case "SCOREJSON":
        reply(try engine.scoreJSON(request), responder, since: startedAt)
        return true
      case "INFO", "CHECKSUM": return false
      default: break
      }
      switch try ServingCommand(request, limits: engine.limits) {
      case .score, .scoreJSON: preconditionFailure("answered above")
      case .recommend(let model, let fields, let topK, let filters, let exclude):
        let recommendation = try beginRecommendation(
          model: model, fields: fields, topK: topK, filters: filters, exclude: exclude)
        enqueue(
          Pending(recommendation: recommendation, isWanted: { responder.isConnected }, startedAt: startedAt) { result in
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
      case .checksum, .info: preconditionFailure("left to others above")
      }
    } catch {
      if request.name == "SCORE" || request.name == "SCOREJSON" || request.name == "RECOMMEND" {
        engine.statistics.refused += 1
      }
      responder.fail(error)
    }
    return true
  }

  private func reply(_ scored: ScoredRequest, _ responder: RESPResponder, since startedAt: Instant) {
    responder.reply { engine.write(scored, to: &$0) }
    recordLatency(since: startedAt)
  }

  func recordLatency(since startedAt: Instant) {
    let now = Instant.now()
    latency.record(Int64(now.milliseconds(since: startedAt) * 1000), count: 1, now: now)
  }

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
    do throws(WireError) {
      let recommendation = try beginRecommendation(
        model: model, fields: fields, topK: topK, filters: filters, exclude: exclude)
      enqueue(Pending(recommendation: recommendation, isWanted: { true }, startedAt: startedAt, reply: reply))
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
        if try engine.advance(pending.recommendation) {
          recommendations.removeFirst()
          let result = pending.recommendation.result
          pending.reply(.success(result))
          recordLatency(since: pending.startedAt)
        }
      } catch {
        recommendations.removeFirst()
        engine.statistics.refused += 1
        pending.reply(.failure(error))
      }
    }
    guard !recommendations.isEmpty else { return }
    loop.assumeIsolated().execute { [self] in advance() }
  }
}
