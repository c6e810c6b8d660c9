import FreshetCluster
import FreshetCore
import FreshetKafka
import Logging

/// Writes a trainer's validation to `kafka.topics.validation`, now and then, without ever waiting for the broker. Belongs to one
/// event loop.
final class ValidationWriter {
  struct Statistics {
    /// That the producer took.
    var records = 0
    /// That could not be written: there was no room, or the broker did not take them in time. The next ones say it anew.
    var failures = 0
  }

  private let producer: KafkaProducer
  private let topic: KafkaProducerTopic
  private let names: ValidationNames
  private let trainer: String
  private let intervalMs: Int
  private let logger: Logger
  private var notices = NoticeLimiter()
  private var nextAt: Instant
  private var dropped = 0
  private var taken = 0
  /// How far each partition was when it was written, and which slices it had then.
  private var written: [PartitionID: (to: Offset, slices: Set<ValidationRecord.Slice>)] = [:]

  /// - Parameters:
  ///   - deliveryTimeoutMs: After which a record that the broker has not acknowledged has failed.
  ///   - queueRecords: That may wait for the broker; further ones have failed.
  init(
    _ configuration: KafkaConfiguration, topic: String, names: ValidationNames, trainer: String, intervalMs: Int,
    deliveryTimeoutMs: Int, queueRecords: Int = 20_000, logger: Logger
  ) throws(KafkaError) {
    var options = KafkaProducer.Options()
    options.queueRecords = queueRecords
    options.maxBlockMs = 0
    options.deliveryTimeoutMs = deliveryTimeoutMs
    producer = try KafkaProducer(configuration, options: options)
    self.topic = try producer.topic(topic)
    self.names = names
    self.trainer = trainer
    self.intervalMs = intervalMs
    self.logger = logger
    nextAt = Instant.now().advanced(byMs: intervalMs)
    producer.onError = { [weak self] in self?.warn($0) }
  }

  var statistics: Statistics { Statistics(records: taken, failures: dropped + producer.failedRecords) }

  /// To be called often: takes what the broker has answered, and writes when the interval is over.
  func tick(_ validation: @autoclosure () -> [(partition: PartitionID, validation: PartitionValidation)], now: Instant)
  {
    producer.poll(timeoutMs: 0)
    guard now >= nextAt else { return }
    nextAt = now.advanced(byMs: intervalMs)
    write(validation())
  }

  /// Writes a last time, and waits for the broker a moment.
  func finish(_ validation: [(partition: PartitionID, validation: PartitionValidation)]) {
    write(validation)
    do {
      try producer.flush(timeoutMs: 1_000)
    } catch {
      warn(error)
    }
  }

  /// Writes the partitions that have gone on since they were written.
  private func write(_ validation: [(partition: PartitionID, validation: PartitionValidation)]) {
    let now = UnixTime.now()
    for partition in written.keys where !validation.contains(where: { $0.partition == partition }) {
      written[partition] = nil
    }
    for (partition, counted) in validation where counted.examples > 0 && written[partition]?.to != counted.to {
      let records = ValidationRecord.all(of: partition, counted)
      for record in records {
        produce(
          key: ValidationRecord.key(partition, task: record.task, record.slice, names),
          value: record.value(names, trainer: trainer, now: now))
      }
      let slices = Set(records.compactMap(\.slice))
      // A value that others have pushed out is no longer spoken of.
      for slice in written[partition]?.slices.subtracting(slices) ?? [] {
        for task in counted.tasks.indices {
          produce(key: ValidationRecord.key(partition, task: task, slice, names), value: nil)
        }
      }
      written[partition] = (counted.to, slices)
    }
  }

  private func produce(key: [UInt8], value: [UInt8]?) {
    do {
      try producer.produce(topic, partition: nil, key: key, value: value)
      taken += 1
    } catch {
      dropped += 1
      warn(error)
    }
  }

  private func warn(_ error: KafkaError) {
    guard let repeated = notices.admit("\(error.message)", topic: "validation", now: .now()) else { return }
    logger.warning(
      "no validation record: \(error.message)",
      metadata: repeated > 0 ? ["topic": "\(topic.name)", "like_it": "\(repeated)"] : ["topic": "\(topic.name)"])
  }
}
