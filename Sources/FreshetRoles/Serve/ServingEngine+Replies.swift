import FreshetCluster
import FreshetCore
import FreshetWire

extension ServingEngine {
  /// One row's weights as scores use them, and whether the row exists.
  func row(table: String, fid: Fid) throws(WireError) -> (weights: [Float], exists: Bool) {
    try checkReady()
    do throws(ClusterError) {
      return try reader.row(table: table, fid: fid)
    } catch {
      throw WireError(error, servers: [])
    }
  }

  /// An array with one map for each model.
  func writeModels(to encoder: inout RESPEncoder, now: Instant) {
    let status = reader.status
    let age = status.ageMs(now: now)
    encoder.writeArrayHeader(count: 1)
    encoder.writeMapHeader(count: age == nil ? 6 : 7)
    encoder.writeBulk("name")
    encoder.writeBulk(model.name)
    encoder.writeBulk("version")
    encoder.writeInteger(Int64(model.version))
    encoder.writeBulk("ready")
    encoder.writeBoolean(status.isReady)
    encoder.writeBulk("tasks")
    encoder.writeArrayHeader(count: model.tasks.count)
    for task in model.tasks { encoder.writeBulk(task.name) }
    encoder.writeBulk("rows")
    encoder.writeInteger(Int64(status.rows))
    encoder.writeBulk("items")
    encoder.writeInteger(Int64(itemCount))
    if let age {
      encoder.writeBulk("age_ms")
      encoder.writeInteger(Int64(age))
    }
  }
}

extension ServingEngine {
  /// Appends the scores of the request that was scored last.
  func write(_ scored: ScoredRequest, to encoder: inout RESPEncoder) {
    if !scored.isSingle { encoder.writeArrayHeader(count: scored.count) }
    encoder.writeScores(scores.baseAddress! + scored.first, stride: 1, count: scored.count)
  }
}

extension RESPEncoder {
  /// Ids and scores in turn, flat.
  mutating func write(recommendation: [(id: String, score: Double)]) {
    writeArrayHeader(count: recommendation.count * 2)
    for (id, score) in recommendation {
      writeBulk(id)
      writeDouble(score)
    }
  }
}
