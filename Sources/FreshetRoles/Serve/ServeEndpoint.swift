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
    let responder: RESPResponder
    let startedAt: Instant
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

  func handle(_ request: RESPRequest, _ responder: RESPResponder) {
    let startedAt = responder.receivedAt
    do throws(WireError) {
      let command = try ServingCommand(request, limits: engine.limits)
      switch command {
      case .recommend(let model, let fields, let topK, let exclude):
        guard recommendations.count < Self.maximumRecommendations else {
          throw WireError(.busy, "\(recommendations.count) recommendations wait, which is the limit; try again later")
        }
        let recommendation = try engine.beginRecommendation(
          model: model, fields: fields, topK: topK, exclude: exclude)
        enqueue(Pending(recommendation: recommendation, responder: responder, startedAt: startedAt))
      case .score(let model, let fields, let candidates):
        reply(try engine.score(model: model, fields: fields, candidates: candidates), responder, since: startedAt)
      case .scoreJSON(let model, let json):
        reply(try engine.scoreJSON(model: model, json), responder, since: startedAt)
      case .models:
        let now = Instant.now()
        responder.reply { engine.writeModels(to: &$0, now: now) }
      case .row(let table, let fid):
        let row = try engine.row(table: table, fid: fid)
        responder.reply { $0.write(row: row) }
      case .info:
        // `ServingThreads` answers for all threads.
        throw request.unknownCommand
      }
    } catch {
      if request.name == "SCORE" || request.name == "SCOREJSON" || request.name == "RECOMMEND" {
        engine.statistics.refused += 1
      }
      responder.fail(error)
    }
  }

  private func reply(_ scores: ScoreReply, _ responder: RESPResponder, since startedAt: Instant) {
    responder.reply { $0.write(scores) }
    recordLatency(since: startedAt)
  }

  private func recordLatency(since startedAt: Instant) {
    let now = Instant.now()
    latency.record(Int64(now.milliseconds(since: startedAt) * 1000), count: 1, now: now)
  }

  // MARK: - Recommendations

  private func enqueue(_ pending: Pending) {
    recommendations.append(pending)
    if recommendations.count == 1 { advance() }
  }

  /// Scores one chunk of the oldest recommendation in each turn of the event loop.
  private func advance() {
    guard let pending = recommendations.first else { return }
    if !pending.responder.isConnected {
      recommendations.removeFirst()
      pending.responder.fail(WireError(.connection, "the client has gone"))
    } else {
      do throws(WireError) {
        if try engine.advance(pending.recommendation) {
          recommendations.removeFirst()
          let result = pending.recommendation.result
          pending.responder.reply { $0.write(recommendation: result) }
          recordLatency(since: pending.startedAt)
        }
      } catch {
        recommendations.removeFirst()
        engine.statistics.refused += 1
        pending.responder.fail(error)
      }
    }
    guard !recommendations.isEmpty else { return }
    loop.assumeIsolated().execute { [self] in advance() }
  }
}
