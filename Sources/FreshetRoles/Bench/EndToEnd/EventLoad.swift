import Foundation
import FreshetCore
import FreshetKafka
import FreshetModel
import Synchronization

/// Writes impressions and their actions to Kafka at a fixed rate, and probes when they are asked for, on a thread of its own.
final class EventLoad: Sendable {
  struct Settings: Sendable {
    /// Impressions with an action each.
    var eventsPerSecond: Double
    var users: Int
    var items: Int
    var seed: UInt64
  }

  struct ProbeRequest: Sendable {
    var user: Int
    var item: Int
  }

  private struct State {
    var wanted: [ProbeRequest] = []
    /// By user: when its action was handed to the producer.
    var sentAt: [Int: Instant] = [:]
    var isStopped = false
    var events = 0
    var startedAt = Instant.now()
    var failure: String?
  }

  private let settings: Settings
  private let model: ModelSpec
  private let kafka: KafkaConfiguration
  private let topics: KafkaSettings.Topics
  private let state = Mutex(State())

  init(_ settings: Settings, model: ModelSpec, kafka: KafkaConfiguration, topics: KafkaSettings.Topics) {
    self.settings = settings
    self.model = model
    self.kafka = kafka
    self.topics = topics
  }

  /// Has the impression and the action of a new user written as soon as possible.
  func send(_ probe: ProbeRequest) { state.withLock { $0.wanted.append(probe) } }

  /// When the probe's action was written, or nil if it has not been yet.
  func sentAt(user: Int) -> Instant? { state.withLock { $0.sentAt[user] } }

  /// Why nothing can be written any more.
  var failure: String? { state.withLock { $0.failure } }

  /// Events a second since the start, probes aside.
  var achievedRate: Double {
    state.withLock { Double($0.events) / max(0.001, Instant.now().milliseconds(since: $0.startedAt) / 1000) }
  }

  func stop() { state.withLock { $0.isStopped = true } }

  /// Blocks until `stop`, or until something cannot be written.
  func run() {
    do {
      try write()
    } catch {
      state.withLock { $0.failure = (error as? any DescribedError)?.message ?? "\(error)" }
    }
  }

  /// Writes the catalog. Blocks until it is acknowledged.
  func writeItems() throws {
    let producer = try KafkaProducer(kafka)
    let topic = try producer.topic(topics.items)
    let records = EventRecords(model: model, prefix: "")
    for item in 1...settings.items {
      try records.item(item) { try producer.produce(topic, partition: nil, key: $0, value: $1) }
    }
    try producer.flush(timeoutMs: 30_000)
  }

  private func write() throws {
    var options = KafkaProducer.Options()
    options.lingerMs = 1
    let producer = try KafkaProducer(kafka, options: options)
    let failure = FailureBox()
    producer.onError = { if $0.isFatal { failure.error = $0 } }
    let features = try producer.topic(topics.features)
    let actions = try producer.topic(topics.actions)
    let records = EventRecords(model: model, prefix: String(UInt64.random(in: 0 ... .max), radix: 16))
    var generator = SeededGenerator(seed: settings.seed)
    var request = 0
    func write(user: Int, item: Int, isPositive: Bool) throws {
      request += 1
      let time = UnixTime.now()
      try records.impression(request: request, user: user, item: item, time: time) {
        try producer.produce(features, partition: nil, key: $0, value: $1)
      }
      try records.action(request: request, user: user, isPositive: isPositive, time: time) {
        try producer.produce(actions, partition: nil, key: $0, value: $1)
      }
    }
    let start = Instant.now()
    state.withLock { $0.startedAt = start }
    var events = 0
    while true {
      let (isStopped, probes) = state.withLock { state in
        defer { state.wanted = [] }
        return (state.isStopped, state.wanted)
      }
      if isStopped { break }
      if let error = failure.error { throw error }
      for probe in probes {
        let now = Instant.now()
        try write(user: probe.user, item: probe.item, isPositive: true)
        state.withLock { $0.sentAt[probe.user] = now }
      }
      let due = Int(Instant.now().milliseconds(since: start) / 1000 * settings.eventsPerSecond)
      while events < due {
        try write(
          user: Int.random(in: 1...settings.users, using: &generator),
          item: Int.random(in: 1...settings.items, using: &generator), isPositive: generator.nextUnit() < 0.5)
        events += 1
      }
      state.withLock { $0.events = events }
      producer.poll(timeoutMs: 0)
      Thread.sleep(forTimeInterval: 0.0005)
    }
    try producer.flush(timeoutMs: 30_000)
  }

  /// Written and read on the thread of `write`, in which librdkafka's callbacks run.
  private final class FailureBox {
    var error: KafkaError?
  }
}
