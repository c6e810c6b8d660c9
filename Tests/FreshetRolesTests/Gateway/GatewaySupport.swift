import Foundation
import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetKafka
import FreshetModel
import NIOConcurrencyHelpers
import NIOCore

@testable import FreshetRoles

/// Keeps what it is given, and answers as it is told: by default every record is written, to the partition that is asked for or 0,
/// each at the next offset.
final class FakeSink: RecordSink {
  typealias Answer = @Sendable (_ index: Int, _ record: OutgoingRecord) -> KafkaDelivery

  private let state = NIOLockedValueBox((written: [OutgoingRecord](), calls: 0))
  private let refusal: WriteRefusal?
  private let answer: Answer?

  init(refusal: WriteRefusal? = nil, answer: Answer? = nil) {
    self.refusal = refusal
    self.answer = answer
  }

  var records: [OutgoingRecord] { state.withLockedValue { $0.written } }
  var calls: Int { state.withLockedValue { $0.calls } }

  func write(_ records: [OutgoingRecord]) async throws(WriteRefusal) -> [KafkaDelivery] {
    if let refusal { throw refusal }
    return state.withLockedValue { state in
      state.calls += 1
      return records.enumerated().map { index, record in
        state.written.append(record)
        return answer?(index, record)
          ?? .written(record.partition ?? PartitionID(0), Offset(Int64(state.written.count - 1)))
      }
    }
  }
}

struct FakeTopics: TopicSource {
  let topics: [String: KafkaTopicDescription]?
}

/// A gateway of the shipped configuration, in front of a fake sink.
struct GatewayBench {
  static let nowMs: Int64 = 1_760_000_000_000

  let sink: FakeSink
  let gateway: Gateway
  let status = GatewayStatus()

  init(
    _ sink: FakeSink = FakeSink(), topics: [String: Int]? = ["features": 4, "actions": 4, "items": 1],
    password: String? = nil, maxRecords: Int = 100, spec: ModelSpec = .movieLens
  ) throws {
    self.sink = sink
    let extractor = try FeatureExtractor(spec)
    let described = topics?.mapValues { count in
      KafkaTopicDescription(
        name: "",
        partitions: (0..<Int32(count)).map {
          .init(id: PartitionID($0), leader: 1, replicas: [1, 2], inSync: [1])
        }, properties: ["cleanup.policy": "delete"])
    }
    let named = described.map { topics in
      Dictionary(
        uniqueKeysWithValues: topics.map { name, topic in
          (name, KafkaTopicDescription(name: name, partitions: topic.partitions, properties: topic.properties))
        })
    }
    gateway = Gateway(
      proxy: RestProxy(
        names: ["features", "actions", "items", "gone"], directory: FakeTopics(topics: named), sink: sink,
        maxRecords: maxRecords),
      sink: sink, eventTopics: [.impressions: "features", .actions: "actions", .items: "items"],
      validators: ValidatorPool { RecordValidator(extractor, config: JoinerConfig(), maxBytes: 1_000_000) },
      maxRecords: maxRecords, credentials: HTTPCredentials(password: password), status: status,
      clock: { UnixTime(milliseconds: Self.nowMs) }
    ) {
      RoleReport(info: InfoText(), notReady: topics == nil ? "no broker" : nil)
    }
  }

  func ask(
    _ method: String, _ target: String, _ body: String = "", _ headers: [String: String] = [:]
  ) async throws -> HTTPReply {
    await gateway.answer(
      try HTTPRequest(method: method, target: target, headers: headers, body: ByteBuffer(string: body)))
  }

  /// Posts to a topic as JSON.
  func produce(
    _ target: String, _ body: String, as type: String = "application/vnd.kafka.json.v2+json"
  ) async throws -> HTTPReply {
    try await ask("POST", target, body, ["content-type": type])
  }
}

extension HTTPReply {
  var text: String { String(buffer: body) }

  var json: [String: Any] {
    get throws { try JSONSerialization.jsonObject(with: Data(body.readableBytesView)) as? [String: Any] ?? [:] }
  }
}

extension OutgoingRecord {
  var keyText: String? { key.map { String(buffer: $0) } }
  var valueText: String? { value.map { String(buffer: $0) } }
}
