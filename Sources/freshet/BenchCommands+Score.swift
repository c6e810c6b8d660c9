import ArgumentParser
import Foundation
import FreshetRoles

extension BenchCommand {
  struct Score: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Score candidates and recommend items of the shipped MovieLens model on one thread.",
      discussion: """
        From a request's words to the bytes of its reply, without the network. score_us: a request with one candidate, \
        burst_score_us: one of 16 that came together. \
        candidates_per_second_N: with N candidates a request. recommend_ms: the median of RECOMMEND … TOPK 10 over all items. \
        …_changed: a row and the dense tensors change before each request, as with each delta of a parameter server. \
        max_slice_ms and p50_slice_ms: how long a recommendation keeps other requests waiting.

        EXAMPLES:
          freshet bench score
        """)

    @Option(help: "Users with a row.") var users = 6_040
    @Option(help: "Items with a row, in the catalog.") var items = 10_000
    @Option(help: "Shards of the copy.") var shards = 16
    @Option(help: "Seconds for which each kind of request is measured.") var seconds = 2.0
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("users", users, 1...100_000_000), ("items", items, 1...4_000_000), ("shards", shards, 1...4096),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
      guard (0.05...600).contains(seconds) else { throw ValidationError("--seconds \(seconds) is outside 0.05...600") }
    }

    func run() throws {
      var benchmark = try ScoreBenchmark(
        ScoreBenchmark.Settings(users: users, items: items, shards: shards, seconds: seconds))
      let report = try benchmark.run()
      let encoder = JSONEncoder()
      encoder.outputFormatting = json ? [.sortedKeys] : [.sortedKeys, .prettyPrinted]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
  }
}
