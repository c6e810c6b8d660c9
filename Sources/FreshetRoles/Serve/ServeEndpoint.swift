import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetNet
import FreshetWire
import Logging
import NIOCore

/// Turns requests into calls of the `ServingEngine` and its answers into replies. Lives on the server's one event loop.
final class ServeEndpoint {
  /// Recommendations that wait for their turn; more are refused.
  private static let maximumRecommendations = 1024
  /// A day; and a minute in microseconds.
  private static let longestFreshnessMs: UInt64 = 86_400_000
  private static let longestLatencyMicroseconds: UInt64 = 60_000_000

  private struct Pending {
    let recommendation: Recommendation
    /// Whether somebody still waits for it.
    let isWanted: () -> Bool
    let startedAt: Instant
    let reply: (Result<[(id: String, score: Double)], WireError>) -> Void
  }

  let engine: ServingEngine
  let replica: Replica
  private let loop: any EventLoop
  private let logger: Logger
  let startedAt = Instant.now()
  private var recommendations = CircularBuffer<Pending>()
  private(set) var freshness = RecentHistogram(highest: longestFreshnessMs)
  private(set) var latency = RecentHistogram(highest: longestLatencyMicroseconds)
  private var catalogWasCaughtUp = false
  var listener: RESPServer?
  var http: HTTPServer?
  var feed: ReplicaFeed?
  var state: ReplicaStateDesk?
  private let checksums: ChecksumDesk

  init(engine: ServingEngine, replica: Replica, loop: any EventLoop, logger: Logger) {
    self.engine = engine
    self.replica = replica
    checksums = ChecksumDesk(
      source: replica, shards: (0..<replica.shardCount).map { ShardID($0) }, loop: loop)
    self.loop = loop
    self.logger = logger
  }

  func handle(_ request: RESPRequest, _ responder: RESPResponder) {
    let startedAt = Instant.now()
    do throws(WireError) {
      switch request.name {
      case "SCORE": return reply(try engine.score(request), responder, since: startedAt)
      case "SCOREJSON": return reply(try engine.scoreJSON(request), responder, since: startedAt)
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
      case .checksum: checksums.request(formats: replica.tables.layouts.map { _ in [] }, responder)
      case .info(let section):
        responder.reply(.bulk(info(now: Instant.now()).text(section: section)))
      }
    } catch {
      if request.name == "SCORE" || request.name == "SCOREJSON" || request.name == "RECOMMEND" {
        engine.statistics.refused += 1
      }
      responder.fail(error)
    }
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

  // MARK: - News

  func apply(_ batch: ItemBatch) {
    for notice in replica.write({ engine.catalog.apply(batch) }) { logger.warning("\(notice)") }
    if !catalogWasCaughtUp, engine.catalog.isCaughtUp {
      catalogWasCaughtUp = true
      logger.info("item catalog read", metadata: ["items": "\(engine.catalog.items.count)"])
    }
  }

  /// The scores now reflect a batch of examples. All count as its oldest one: the figure is never better than the truth.
  func note(_ receipt: BatchReceipt) {
    let age = UnixTime.now().milliseconds - receipt.oldestIngest.milliseconds
    freshness.record(age, count: receipt.exampleCount, now: Instant.now())
  }
}
