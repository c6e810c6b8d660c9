import FreshetCore

extension FeatureExtractor {
  /// Completes what a scratch has of a request with what is known of its keys, in training and in serving alike.
  ///
  /// A field that the request says itself stands. A key that is missing or not known leaves the fields of its enrichment empty.
  /// - Parameters:
  ///   - reader: Not the one that read the request, if parts of that are still needed.
  ///   - record: What is known, by enrichment and hash of the key's canonical text.
  /// - Returns: The enrichments, by bit, of which a field is missing and the key is not known.
  /// - Throws: Never for a record that a catalog has taken.
  public func complete(
    _ scratch: FeatureScratch, _ reader: JSONRecordReader, record: (Int, UInt64) -> CatalogItem?
  ) throws(FeatureError) -> UInt32 {
    var unknown: UInt32 = 0
    for enrichment in 0..<spec.enrichments.count {
      let missing = missingFields(of: enrichment, in: scratch)
      guard missing != .zero, let key = keyHash(of: enrichment, in: scratch) else { continue }
      if let record = record(enrichment, key) {
        try take(missing, from: record, reader, scratch)
      } else {
        unknown |= 1 << UInt32(enrichment)
      }
    }
    return unknown
  }

  /// The hash of an enrichment's key; nil if the scratch does not have it.
  public func keyHash(of enrichment: Int, in scratch: FeatureScratch) -> UInt64? {
    text(of: spec.enrichments[enrichment].key, in: scratch).map { Hashing.xxh3(UnsafeRawBufferPointer($0)) }
  }

  /// Which fields of an enrichment have no value, by bit.
  private func missingFields(of enrichment: Int, in scratch: FeatureScratch) -> SIMD4<UInt64> {
    var missing = SIMD4<UInt64>.zero
    for field in 0..<spec.fields.count
    where spec.fields[field].source == .enrichment(enrichment) && scratch.fields[field].count == 0 {
      missing[field / 64] |= 1 << UInt64(field % 64)
    }
    return missing
  }

  private func take(
    _ wanted: SIMD4<UInt64>, from record: CatalogItem, _ reader: JSONRecordReader, _ scratch: FeatureScratch
  ) throws(FeatureError) {
    let result = record.json.withUnsafeBytes { bytes in
      Result { () throws(FeatureError) in
        // It was parsed when it came, so it does so again.
        guard let object = try? reader.parse(bytes) else { return }
        for member in object.children {
          let field = table.find(member.name)
          guard field >= 0, field < spec.fields.count, wanted[field / 64] & 1 << UInt64(field % 64) != 0 else {
            continue
          }
          try set(field, member, scratch)
        }
      }
    }
    try result.get()
  }
}
