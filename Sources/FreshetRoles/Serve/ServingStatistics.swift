/// What a replica has been asked, and how much of it it did not know.
struct ServingStatistics: Sendable, Equatable {
  /// Requests for scores and recommendations that were answered.
  var requests: UInt64 = 0
  /// Requests for scores and recommendations that were refused with an error.
  var refused: UInt64 = 0
  /// Rows of features that were scored.
  var candidates: UInt64 = 0
  /// Candidates whose item is not in the catalog: they are scored by their key alone.
  var unknownItems: UInt64 = 0
  /// Requests whose user has no row: they are scored by the other fields.
  var unknownUsers: UInt64 = 0
  /// Requests' keys that an enrichment does not have: its fields are empty.
  var unknownEnrichments: UInt64 = 0

  mutating func add(_ other: ServingStatistics) {
    requests += other.requests
    refused += other.refused
    candidates += other.candidates
    unknownItems += other.unknownItems
    unknownUsers += other.unknownUsers
    unknownEnrichments += other.unknownEnrichments
  }
}
