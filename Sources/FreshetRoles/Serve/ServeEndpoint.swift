import FreshetCluster
import FreshetCore
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
    let responder: RESPResponder
    let startedAt: Instant
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
