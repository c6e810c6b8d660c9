import FreshetHTTP

extension InfoText {
  mutating func add(_ statistics: HTTPServerStatistics) {
    section("http")
    add("in_hand", statistics.inHand)
    add("requests", statistics.requests, as: .counter)
    add("succeeded", statistics.succeeded, as: .counter)
    add("refused", statistics.refused, as: .counter)
    add("failed", statistics.failed, as: .counter)
    add("bytes_in", statistics.bytesIn, as: .counter)
    add("bytes_out", statistics.bytesOut, as: .counter)
  }
}
