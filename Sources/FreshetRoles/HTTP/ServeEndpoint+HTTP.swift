import FreshetCore
import FreshetWire
import NIOCore

/// What HTTP asks; called on the endpoint's loop.
extension ServeEndpoint {
  /// - Parameter models: `model` or `model:task`, as SCOREJSON takes them.
  /// - Returns: For each of `models` one score for each candidate.
  func score(_ json: ByteBuffer, models: [String]) throws(WireError) -> VersionedScores {
    let startedAt = Instant.now()
    takeTurn()
    var scores: [[Double]] = []
    do throws(WireError) {
      for model in models {
        switch try engine.scoreJSON(model: model, json) {
        case .one(let score): scores.append([score])
        case .many(let many): scores.append(many)
        }
      }
    } catch {
      engine.statistics.refused += 1
      throw error
    }
    recordScore(since: startedAt)
    return VersionedScores(scores: scores, version: engine.model.version)
  }
}
