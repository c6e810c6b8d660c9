import FreshetHTTP

extension InfoText {
  mutating func add(_ statistics: HTTPServerStatistics) {
    section("http")
    add("in_hand", statistics.inHand)
    add("requests", statistics.requests)
    add("succeeded", statistics.succeeded)
    add("refused", statistics.refused)
    add("failed", statistics.failed)
    add("bytes_in", statistics.bytesIn)
    add("bytes_out", statistics.bytesOut)
  }
}
