import FreshetCore
import FreshetKafka

/// The topics' names, from the configuration.
public struct ReplayTopics: Sendable {
  public var features: String
  public var actions: String
  public var items: String
  public var deadLetter: String

  public init(features: String, actions: String, items: String, deadLetter: String) {
    self.features = features
    self.actions = actions
    self.items = items
    self.deadLetter = deadLetter
  }

  func name(_ topic: ReplayTopic) -> String {
    switch topic {
    case .features: features
    case .actions: actions
    case .items: items
    case .deadLetter: deadLetter
    }
  }
}

/// Writes to Kafka with an idempotent producer; records of one key keep their order.
final class KafkaReplaySink: ReplaySink {
  private let producer: KafkaProducer
  private let failure = ProducerFailure()
  /// By `ReplayTopic.rawValue`.
  private let topics: [KafkaProducerTopic]

  /// - Parameters:
  ///   - isPaced: Records go out as they come instead of waiting for a batch to fill.
  ///   - deliveryTimeoutMs: After that a record that no broker confirmed is an error; 0 waits for as long as it takes.
  init(
    _ configuration: KafkaConfiguration, topics names: ReplayTopics, isPaced: Bool, deliveryTimeoutMs: Int,
    onError: @escaping (KafkaError) -> Void
  ) throws(KafkaError) {
    var options = KafkaProducer.Options(transactionalID: nil)
    options.lingerMs = isPaced ? 1 : 5
    options.deliveryTimeoutMs = deliveryTimeoutMs
    // A full queue hands control back soon: the loop looks at signals and shows progress.
    options.maxBlockMs = 50
    let producer = try KafkaProducer(configuration, options: options)
    producer.onError = { [failure] error in
      if error.isFatal { failure.fatal = error }
      onError(error)
    }
    var topics: [KafkaProducerTopic] = []
    for topic in ReplayTopic.allCases { topics.append(try producer.topic(names.name(topic))) }
    self.producer = producer
    self.topics = topics
  }

  /// The producer can do nothing any more, because the broker lost track of it; a new one can go on.
  var fatalError: KafkaError? { failure.fatal }
  var recordsInFlight: Int { producer.recordsInFlight }

  func send(
    _ topic: ReplayTopic, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer
  ) throws -> Bool {
    do {
      // Bad rows have no key: they are spread over the dead-letter topic's partitions.
      try producer.produce(
        topics[topic.rawValue], partition: nil, key: topic == .deadLetter ? nil : key, value: payload)
      return true
    } catch {
      if error.reason == .queueFull { return false }
      throw error
    }
  }

  /// Says nothing about the records that go down with the producer: they are sent again.
  func abandon() { producer.onError = nil }

  /// Serves the producer for as long as the loop has nothing to send.
  func wait(ms: Int) { producer.poll(timeoutMs: ms) }

  /// - Returns: Whether everything sent so far is confirmed; false if that takes longer than `timeoutMs`.
  func flush(timeoutMs: Int) throws(KafkaError) -> Bool {
    do {
      try producer.flush(timeoutMs: timeoutMs)
      return true
    } catch {
      if error.reason == .timedOut { return false }
      throw error
    }
  }
}

/// Outlives the sink's initialiser, in which the producer's callback is set.
private final class ProducerFailure {
  var fatal: KafkaError?
}
