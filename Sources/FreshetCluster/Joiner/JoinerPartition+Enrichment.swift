import FreshetCore
import FreshetModel

extension JoinerPartition {
  /// Looks again for what enrichments did not know of the first feature record when it came, as for an item that is not known:
  /// what belongs to an impression is written before it.
  /// - Returns: False if their topics must be read first.
  func completeFirstFeature(_ now: Instant, _ output: JoinerOutput) -> Bool {
    var queued = featureQueue.first
    let record = JoinerRecord(
      offset: queued.record.offset, appendTimeMs: queued.record.appendTimeMs, payload: queued.record.payloadBytes)
    do throws(Rejection) {
      let again = try readFeature(record)
      if again.unknownEnrichments != 0, asksForEnrichment(again.unknownEnrichments, record, now, output) {
        release(again.impression)
        return false
      }
      counters.unknownEnrichments += again.unknownEnrichments.nonzeroBitCount
      release(queued.impression)
      queued.impression = again.impression
    } catch {
      // What is known now makes more of the record than it may hold.
      release(queued.impression)
      reject(&queued.record, error, .features, isNull: false)
    }
    queued.record.lacksEnrichment = false
    featureQueue.first = queued
    return true
  }

  private func asksForEnrichment(
    _ unknown: UInt32, _ record: JoinerRecord, _ now: Instant, _ output: JoinerOutput
  ) -> Bool {
    for enrichment in 0..<enrichments.count where unknown & 1 << UInt32(enrichment) != 0 {
      // The scratch still holds the record.
      guard let key = extractor.keyHash(of: enrichment, in: scratch) else { continue }
      let hash = Hashing.mix(key &+ UInt64(enrichment) &+ 1)
      if asks(for: hash, appendTimeMs: record.appendTimeMs, now, output) { return true }
    }
    return false
  }
}
