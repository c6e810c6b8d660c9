import FreshetCore
import FreshetKafka
import FreshetModel
import Logging
import NIOCore
import Testing

@testable import FreshetCluster
@testable import FreshetRoles

@Suite struct ValidationRecordTests {
  static let year = Hashing.fid(slot: "year", value: "1994")
  static let unknown: Fid = 255

  /// Two examples: one of the year 1994 that is liked, one of a value that has no text that could be tried.
  func counted() -> PartitionValidation {
    var counted = PartitionValidation(
      PartitionValidation.Settings(window: 100, slots: [6], valuesPerSlot: 4), taskCount: 1)
    let layout = ExampleLayout(.movieLens)
    var batch = ExampleBatch(layout: layout, capacity: 2)
    let outcomes = [
      ValidationOutcome(
        loss: 0.5, predicted: 0.75, prediction: Prediction(logit: 1, isPositive: true), isCounted: true),
      ValidationOutcome(
        loss: 1, predicted: 0.25, prediction: Prediction(logit: -1, isPositive: false), isCounted: true),
    ]
    for (number, fid) in [Self.year, Self.unknown].enumerated() {
      let header = ExampleHeader(
        requestHash: 1, eventTimeMs: 1, actionTimeMs: 1, ingestTimeMs: 1, weight: 1, negativeRate: 1, origin: .actions)
      let slots = (0..<layout.slotCount).map { $0 == 6 ? [fid] : [] }
      let record = ExampleCodec.encode(header, labels: [1], slots: slots, dense: [], layout: layout)
      do {
        try record.withUnsafeBytes { try batch.append($0, offset: Int64(10 + number)) }
      } catch {
        Issue.record("\(error)")
      }
    }
    let report = BatchReport(
      tasks: [.init(loss: 1.5, predicted: 1, predictions: outcomes.map(\.prediction))], exampleCount: 2,
      oldestIngest: UnixTime(milliseconds: 7_000), newestIngest: UnixTime(milliseconds: 8_000))
    outcomes.withUnsafeBufferPointer {
      counted.add(report, from: Offset(10), to: Offset(12), outcomes: $0, examples: batch.slice(0..<2))
    }
    return counted
  }

  let names = ValidationNames(.movieLens, slices: ["year"])

  func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test func recordsAreTheseBytes() {
    let records = ValidationRecord.all(of: PartitionID(3), counted())
    let written = Dictionary(
      uniqueKeysWithValues: records.map { record in
        (
          text(ValidationRecord.key(PartitionID(3), task: 0, record.slice, names)),
          text(record.value(names, trainer: "host-7200", now: UnixTime(milliseconds: 9_000)))
        )
      })
    let head = #"{"model":"movielens","partition":3,"task":"like","slice":"#
    let middle =
      #","trainer":"host-7200","from_offset":10,"to_offset":12,"newest_append_ms":8000,"written_ms":9000,"#
    let both =
      #"{"examples":2,"positives":1,"loss_sum":1.5,"predicted_sum":1.0,"auc":1.0,"auc_error_bound":0.0,"logloss":0.75,"#
      + #""normalized_entropy":1.0820212806667227,"calibration":1.0}"#
    let liked =
      #"{"examples":1,"positives":1,"loss_sum":0.5,"predicted_sum":0.75,"auc":null,"auc_error_bound":null,"logloss":0.5,"#
      + #""normalized_entropy":null,"calibration":0.75}"#
    let other =
      #"{"examples":1,"positives":0,"loss_sum":1.0,"predicted_sum":0.25,"auc":null,"auc_error_bound":null,"logloss":1.0,"#
      + #""normalized_entropy":null,"calibration":null}"#
    let year = ValidationNames.hexadecimal(Self.year)
    func value(_ slice: String, _ window: String) -> String {
      head + slice + middle + #""total":\#(window),"recent":\#(window)}"#
    }
    let expected = [
      #"["movielens",3,"like"]"#: value("null", both),
      #"["movielens",3,"like","year","\#(year)"]"#: value(
        #"{"slot":"year","value":"\#(year)","text":"1994"}"#, liked),
      #"["movielens",3,"like","year","0x00000000000000ff"]"#: value(
        #"{"slot":"year","value":"0x00000000000000ff"}"#, other),
    ]
    #expect(written == expected)
  }

  @Test func aTextIsToldOnlyIfItIsTheValues() {
    var model = ModelSpec.movieLens
    model.slots[3].transform = .bucketize(boundaries: [18, 25.5])
    let names = ValidationNames(model, slices: ["age", "gender", "zip", "genres", "occupation"])
    func text(_ slot: Int, _ value: String) -> String? {
      names.text(of: Hashing.fid(slot: names.slots[slot], value: value), slot: slot)
    }
    #expect(
      [text(0, "0"), text(0, "1"), text(0, "2"), text(0, "3")] == ["(-inf, 18)", "[18, 25.5)", "[25.5, inf)", nil])
    #expect([text(1, "F"), text(2, "94"), text(3, "Comedy")] == ["F", "94", nil])
    #expect([text(4, "0"), text(4, "65535"), text(4, "65536")] == ["0", "65535", nil])
    // Another slot's fid of the same text is another fid.
    #expect(names.text(of: Hashing.fid(slot: "zip", value: "F"), slot: 1) == nil)
  }

  @Test func slicesAreLabelsOfTheirMetrics() {
    var info = InfoText()
    info.addProcess(role: "trainer", startedAt: .now(), now: .now())
    info.section("validation")
    info.add([(PartitionID(0), counted()), (PartitionID(1), counted())], names)
    let metrics = String(buffer: info.prometheus(.freshet))
    let year = ValidationNames.hexadecimal(Self.year)
    for line in [
      #"freshet_trainer_validation_examples{task="0"} 4"#, #"freshet_trainer_validation_recent_logloss{task="0"} 0.75"#,
      #"freshet_trainer_validation_slice_examples{task="0",slot="year",value="1994",fid="\#(year)"} 2"#,
      #"freshet_trainer_validation_slice_recent_calibration_ratio{task="0",slot="year",value="1994",fid="\#(year)"} 0.75"#,
      #"freshet_trainer_validation_slice_logloss{task="0",slot="year",value="0x00000000000000ff",fid="0x00000000000000ff"} 1.0"#,
    ] { #expect(metrics.contains(line + "\n"), "\(line)\n\(metrics)") }
    #expect(!metrics.contains("slice_auc"))
    #expect(info.undescribed(in: .freshet) == [])
    let text = info.text(section: nil)
    #expect(text.contains("task0_slice_year_\(year):value=\"1994\",examples=2,logloss=0.5,calibration=0.75,"))
  }

  /// A broker that cannot be reached costs the trainer nothing but the records, and those are counted.
  @Test func anUnreachableBrokerHoldsNothingUpAndIsCounted() throws {
    let writer = try ValidationWriter(
      KafkaConfiguration(bootstrapServers: "127.0.0.1:1"), topic: "validation", names: names, trainer: "t",
      intervalMs: 100, deliveryTimeoutMs: 300, queueRecords: 300,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let validation = counted()
    let begin = Instant.now()
    writer.tick([(PartitionID(0), validation)], now: begin)
    #expect(writer.statistics.records == 0, "the interval is not over")
    writer.tick([(PartitionID(0), validation)], now: begin.advanced(byMs: 200))
    #expect(writer.statistics.records == 3)
    // Nothing has been counted since.
    writer.tick([(PartitionID(0), validation)], now: begin.advanced(byMs: 400))
    #expect(writer.statistics.records == 3)
    // More than the queue holds.
    var now = begin.advanced(byMs: 400)
    for number in 1...20 {
      now = now.advanced(byMs: 200)
      writer.tick((0..<10).map { (PartitionID(Int32(number * 10 + $0)), validation) }, now: now)
    }
    #expect(Instant.now().milliseconds(since: begin) < 20_000)
    #expect(writer.statistics.failures > 0)
    let deadline = Instant.now().advanced(bySeconds: 20)
    while writer.statistics.failures < 603, Instant.now() < deadline {
      writer.tick([], now: begin)
    }
    #expect(writer.statistics.failures == 603)
    writer.finish([])
  }

  @Test func settingsThatDoNotFitAreRefused() throws {
    func problem(_ overrides: [String: String]) throws -> String {
      let text = try ConfigurationTests.shipped
      let error = #expect(throws: ConfigurationError.self) {
        try FreshetConfiguration.parse(text, file: "c.yaml", overrides: overrides, environment: [:])
      }
      return error?.message ?? ""
    }
    #expect(try problem(["trainer.validation.slices": "age,nothing"]).contains("`nothing` is no slot of the model"))
    #expect(try problem(["trainer.validation.slices": "age,age"]).contains("`age` is named twice"))
    #expect(try problem(["trainer.validation.interval_ms": "7"]).contains("neither 0 nor at least 100"))
    #expect(try problem(["kafka.topics.validation": "items"]).contains("another topic's name"))
    #expect(
      try problem(["trainer.guard.window": "200", "trainer.guard.maximum_logloss": "1"])
        .contains("less than two batches"))
    let configuration = try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml",
      overrides: ["trainer.validation.slices": "age,year", "trainer.validation.interval_ms": "0"], environment: [:])
    #expect(configuration.validation.slots == [3, 6] && configuration.kafka.topics.validation == nil)
    #expect(configuration.trainer.guardSettings.bounds == nil)
    let shipped = try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: [:], environment: [:])
    #expect(shipped.kafka.topics.validation == "validation")
  }
}
