import Foundation
import FreshetCore
import FreshetModel
import NIOCore
import Testing

@testable import FreshetDashboard

@Suite struct StateTests {
  private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Golden")

  /// Compares with a file, both as sorted and indented JSON. With `FRESHET_UPDATE_GOLDEN=1` it writes the file instead.
  private static func compare(_ json: ByteBuffer, _ name: String) throws {
    let options: JSONSerialization.WritingOptions = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let object = try JSONSerialization.jsonObject(with: Data(json.readableBytesView))
    let data = try JSONSerialization.data(withJSONObject: object, options: options) + Data("\n".utf8)
    let file = directory.appending(path: name)
    if ProcessInfo.processInfo.environment["FRESHET_UPDATE_GOLDEN"] == "1" { try data.write(to: file) }
    let golden = try String(contentsOf: file, encoding: .utf8)
    #expect(String(decoding: data, as: UTF8.self) == golden, "\(name) differs")
  }

  private static func view() -> ClusterView {
    var view = Fixture.running()
    view.handle(
      .failed(5, reason: "cannot connect to 127.0.0.1:7001: Connection refused", isLate: false),
      now: Fixture.after(2_500))
    view.handle(.deadLetter(Self.hostile), now: Fixture.after(2_500))
    return view
  }

  private static var hostile: DeadLetter {
    let record =
      #"{"offset":7,"partition":1,"payload":"</script><script>alert(1)</script>\u0000\u202E","reason":"`event_time` is missing","reason_code":"missing-field","role":"joiner","topic":"features"}"#
    let reader = JSONRecordReader(maxBytes: 1 << 20, maxDepth: 32)
    return Array(record.utf8).withUnsafeBytes {
      DeadLetter(record: $0, position: "dead-letter 0@0", time: UnixTime(milliseconds: 5), reader: reader)
    }
  }

  @Test func theStateOfARunningClusterIsTheGoldenOne() throws {
    try Self.compare(Self.view().state(now: Fixture.after(2_600), time: Fixture.time), "state.json")
  }

  @Test func theStateOfAClusterThatNobodyHasSeenYetIsTheGoldenOne() throws {
    let view = ClusterView(Fixture.cluster, now: Fixture.start)
    try Self.compare(view.state(now: Fixture.after(100), time: Fixture.time), "state-empty.json")
  }

  @Test func theHistoryIsTheGoldenOne() throws {
    try Self.compare(Fixture.running().history(isLong: false, after: 0), "history.json")
  }

  @Test func figuresOfThePastAreOnesOfAllReplicasAndServers() throws {
    let view = Fixture.running()
    let names = view.history.series.map(\.name)
    let values = Dictionary(
      uniqueKeysWithValues: zip(names, try #require(view.history.fine.points(after: 0).first).values))
    #expect(values["auc.0"] == 1 && values["freshness_p99_ms"] == 480.5 && values["unlearned"] == 19)
    #expect(values["calibration_total.0"].flatMap { $0 }.map { abs($0 - 1) < 1e-9 } == true)
  }
}
