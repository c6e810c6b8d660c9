import FreshetCore
import FreshetKafka
import Logging

/// Gives every life of a joiner a transactional id of its own, and ends what the life before has left open.
///
/// One id for all lives would do the second by itself, but then all of them write as one producer, and brokers name aborted
/// transactions to readers by producer: one that goes on naming a transaction to readers beyond its end makes them drop whatever the
/// next life writes. So the id of the present life is kept as metadata of a commit in a group of the joiner's name, and the next one
/// initialises that id first, which fences a zombie and aborts its transaction. What makes examples come once is neither of them
/// but the group's generation, which goes with every commit (KIP-447) and which a zombie does not have (docs/joiner.md).
struct JoinerLives {
  private static let timeoutMs = 3_000

  private let kafka: KafkaConfiguration
  private let name: String
  /// Commits belong to partitions: this one exists wherever there is a joiner.
  private let place: KafkaTopicPartition
  private let logger: Logger

  /// - Parameter instance: Names the joiner across its lives.
  init(_ configuration: FreshetConfiguration, instance: String, logger: Logger) {
    kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-joiner", logger: logger)
    name = "\(configuration.joiner.group)-\(instance)"
    place = KafkaTopicPartition(configuration.kafka.topics.features, PartitionID(0))
    self.logger = logger
  }

  /// Ends the life before.
  /// - Returns: The transactional id of the new one.
  func begin(isStopped: () -> Bool) throws -> String {
    let record = try KafkaConsumer(
      kafka, options: KafkaConsumer.Options(groupID: name + "-life", offsetReset: .earliest, startPaused: true))
    defer { record.close() }
    let last = try KafkaRetry.run("read the last life", logger: logger, isStopped: isStopped) { () throws(KafkaError) in
      try record.committed([place], timeoutMs: Self.timeoutMs)
    }
    if let id = last.first?.metadata, !id.isEmpty {
      let zombie = try KafkaProducer(kafka, options: KafkaProducer.Options(transactionalID: id))
      try KafkaRetry.run("end the last life", logger: logger, isStopped: isStopped) { () throws(KafkaError) in
        try zombie.initTransactions(timeoutMs: Self.timeoutMs)
      }
    }
    let id = "\(name)-\(String(UInt64.random(in: 0 ... .max), radix: 16))"
    try KafkaRetry.run("record this life", logger: logger, isStopped: isStopped) { () throws(KafkaError) in
      try record.commit(
        [KafkaPosition(place.topic, place.partition, offset: Offset(0), metadata: id)], timeoutMs: Self.timeoutMs)
    }
    return id
  }
}
