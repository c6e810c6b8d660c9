import Foundation
import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetStore
import Testing

@testable import FreshetRoles

/// Archived examples as trainers and the export read them, from a directory.
@Suite final class ArchivedExamplesTests {
  static let day = ArchiveDay.milliseconds

  let directory = FileManager.default.temporaryDirectory.path + "/freshet-archive-" + UUID().uuidString
  let store: DirectoryStore
  let configuration: FreshetConfiguration

  init() throws {
    store = try DirectoryStore(writing: directory + "/archive")
    configuration = try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: ["archive.store": directory + "/archive"], environment: [:]
    )
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func example(_ number: Int, of model: ModelSpec) -> [UInt8] {
    ExampleCodec.encode(
      ExampleHeader(
        requestHash: UInt64.max - UInt64(number), eventTimeMs: 10, actionTimeMs: 20, ingestTimeMs: 30, weight: 1,
        negativeRate: 0.5, origin: number == 1 ? .correctsLabels : .actions),
      labels: [number % 2 == 0 ? 1 : .nan], slots: model.slots.map { $0.index == 0 ? [.max, 7] : [] },
      dense: model.denseFeatures.map { _ in 1.5 }, layout: ExampleLayout(model))
  }

  /// Archives values of partition 2 from offset 5 on, each on a day of its own.
  func archive(_ values: [[UInt8]]) throws {
    let machine = ArchivePartition(
      topic: "examples", partition: PartitionID(2), content: .records, settings: configuration.archive.machine,
      compressor: ZstdCompressor(level: 3), start: Offset(4), now: Instant(nanoseconds: 1), seed: 1)
    var writer: (any FileStoreWriter)?
    func handle(_ event: ArchiveEvent) throws {
      for action in try machine.handle(event, now: Instant(nanoseconds: 1)) {
        switch action {
        case .create(let name): writer = try store.create(name.name)
        case .write(let bytes): try bytes.withUnsafeBytes { try writer!.write($0) }
        case .finish: try writer!.finish()
        default: break
        }
      }
    }
    try handle(.tick)
    for (number, value) in values.enumerated() {
      try Array("k\"\(number)".utf8).withUnsafeBytes { key in
        try value.withUnsafeBytes { value in
          try handle(
            .record(
              ArchivedRecord(
                offset: Offset(Int64(number) + 5), time: UnixTime(milliseconds: Self.day * Int64(number)), key: key,
                value: value)))
        }
      }
    }
    try handle(.caughtUp(wallTime: UnixTime(milliseconds: Self.day * 1000)))
  }

  @Test func passesEndBeforeTheFilesOfTheDayThatIsGiven() throws {
    try archive((0..<4).map { example($0, of: configuration.model) })
    func ends(_ until: String?) throws -> [Int64] {
      let examples = ArchivedExamples(store: store, topic: "examples", until: until.flatMap { ArchiveDay($0) })
      let part = try #require(try examples.part(of: PartitionID(2)))
      #expect(part.files.count == 4)
      return [part.start.value, part.passEnd.value, part.end.value]
    }
    #expect(try ends(nil) == [4, 9, 9])
    #expect(try ends("1970-01-03") == [4, 7, 9])
    #expect(try ends("1970-01-01") == [4, 4, 9])
    #expect(try ends("1970-01-05") == [4, 9, 9])
    let none = try ArchivedExamples(store: store, topic: "examples", until: nil).part(of: PartitionID(1))
    #expect(none == nil)
  }

  @Test func examplesBecomeLinesOnceForEachFile() throws {
    try archive((0..<3).map { example($0, of: configuration.model) } + [[1, 2, 3]])
    let first = try ArchiveExport(configuration, directory: directory + "/lines").run()
    #expect(first.files == 4 && first.records == 3 && first.skipped == 0 && first.unreadable == 1)
    let again = try ArchiveExport(configuration, directory: directory + "/lines").run()
    #expect(again.files == 0 && again.skipped == 4)

    let name = "topics/examples/date=1970-01-02/examples+2+0000000006.jsonl.zst"
    let file = try Data(contentsOf: URL(fileURLWithPath: directory + "/lines/" + name))
    let line = try file.withUnsafeBytes { bytes in
      // One frame; its header says how much comes out.
      try ZstdCompressor(level: 3).decompress(bytes, count: try #require(Self.contentSize(bytes)))
    }
    #expect(line.last == UInt8(ascii: "\n") && line.count { $0 == UInt8(ascii: "\n") } == 1)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
    #expect(object["partition"] as? Int == 2 && object["offset"] as? Int == 6 && object["key"] as? String == "k\"1")
    #expect(object["time"] as? Int64 == Self.day && object["request"] as? String == "18446744073709551614")
    #expect(object["event_time"] as? Int == 10 && object["action_time"] as? Int == 20)
    #expect(object["ingest_time"] as? Int == 30 && object["negative_rate"] as? Double == 0.5)
    #expect(object["origin"] as? String == "corrects-labels")
    #expect((object["labels"] as? [String: Any])?["like"] is NSNull)
    let fids = try #require(object["fids"] as? [String: [String]])
    #expect(fids.count == configuration.model.slots.count)
    #expect(fids[configuration.model.slots[0].name] == ["18446744073709551615", "7"])
  }

  /// The content size in a frame's header (RFC 8878, 3.1.1.1), where a single segment has it in 1 or 2 bytes.
  static func contentSize(_ frame: UnsafeRawBufferPointer) -> Int? {
    let descriptor = frame[4]
    guard descriptor & 0x20 != 0 else { return nil }
    switch descriptor >> 6 {
    case 0: return Int(frame[5])
    case 1: return Int(frame[5]) + Int(frame[6]) << 8 + 256
    default: return nil
    }
  }

  @Test func aCheckCountsWhatIsThereAndNamesWhatIsNot() throws {
    try archive((0..<4).map { example($0, of: configuration.model) })
    let whole = try ArchiveCheck(configuration, topics: []).run()
    #expect(whole.problems.isEmpty)
    #expect(whole.text == "examples[2]: 4 files, 4 records, offsets 4 ..< 9")
    try store.remove("topics/examples/date=1970-01-02/examples+2+0000000006.records.zst")
    let damaged = directory + "/archive/topics/examples/date=1970-01-04/examples+2+0000000008.records.zst"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: damaged))
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: URL(fileURLWithPath: damaged))
    let broken = try ArchiveCheck(configuration, topics: []).run()
    #expect(broken.problems.count == 2)
    #expect(broken.problems[0].contains("the offsets 6 ..< 7 before it are missing"))
    #expect(broken.problems[1].contains("0000000008"))
    let json = try JSONSerialization.jsonObject(with: Data(broken.json.utf8)) as? [String: Any]
    #expect((json?["problems"] as? [String])?.count == 2)
  }

  @Test func aCheckOfADirectoryThatIsNotThereIsAReportWithAProblem() throws {
    func configuration(_ overrides: [String: String]) throws -> FreshetConfiguration {
      try FreshetConfiguration.parse(
        ConfigurationTests.shipped, file: "c.yaml", overrides: overrides, environment: [:])
    }
    let nowhere = directory + "/nowhere"
    let report = try ArchiveCheck(configuration(["archive.store": nowhere]), topics: []).run()
    #expect(report.problems.count == 1 && report.problems[0].contains(nowhere))
    let json = try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [String: Any]
    #expect((json?["partitions"] as? [Any])?.isEmpty == true && json?["problems"] as? [String] == report.problems)
    #expect(throws: UsageError.self) { try ArchiveCheck(configuration([:]), topics: []) }
  }

  @Test func examplesOfAnotherModelAreRefused() throws {
    var other = configuration.model
    other.denseFeatures = []
    other.name = "other"
    other.slots.removeLast()
    try archive([example(0, of: other)])
    let error = #expect(throws: ExampleError.self) {
      try ArchiveExport(configuration, directory: directory + "/lines").run()
    }
    #expect(error?.kind == .schemaMismatch)
  }
}
