import FreshetCluster
import FreshetCore
import FreshetModel

/// Reads `examples` for a trainer: what the thread of `ExampleFeed` in the roles does with librdkafka.
final class ExampleFeed {
  static let recordsPerPoll = 16
  static let group = "trainer"

  private struct Partition {
    var attempt: UInt64 = 0
    /// nil while it is paused.
    var position: Int64?
    /// Counts seeks: what was asked for before one is not delivered after it.
    var seeks = 0
    /// Examples that the trainer has not taken up yet.
    var outstanding = 0
    var isAsking = false
  }

  private unowned let owner: SimulatedProcess
  private let broker: Broker
  private let layout: ExampleLayout
  private let limit: Int
  private let deliver: (TrainerEvent) -> Void
  private var partitions: [Int: Partition] = [:]
  private var seeks = 0
  private let consumers: ConsumerGroup
  private var member = 0
  private var generation = 0

  init(
    owner: SimulatedProcess, broker: Broker, consumers: ConsumerGroup, layout: ExampleLayout, limit: Int,
    deliver: @escaping (TrainerEvent) -> Void
  ) {
    self.owner = owner
    self.broker = broker
    self.consumers = consumers
    self.layout = layout
    self.limit = limit
    self.deliver = deliver
  }

  // MARK: - The group

  func assign(_ assigned: [Int], member: Int, generation: Int) {
    self.member = member
    self.generation = generation
    for partition in assigned where partitions[partition] == nil {
      partitions[partition] = Partition()
      deliver(.assigned(PartitionID(Int32(partition))))
    }
  }

  func revokeAll() {
    for partition in partitions.keys.sorted() {
      partitions[partition] = nil
      deliver(.revoked(PartitionID(Int32(partition))))
    }
  }

  // MARK: - What the trainer asks

  func locate(_ partition: PartitionID, attempt: UInt64) {
    let log = broker.log(.examples, Int(partition.value))
    broker.call(from: owner, { (log.start, log.stableEnd) }) { [weak self] start, end in
      self?.deliver(.located(partition, attempt: attempt, start: Offset(start), end: Offset(end)))
    }
  }

  func fetch(_ partition: PartitionID, attempt: UInt64, from: Offset) {
    let number = Int(partition.value)
    guard partitions[number] != nil else { return }
    seeks += 1
    partitions[number] = Partition(attempt: attempt, position: from.value, seeks: seeks)
    poll(number)
  }

  func stop(_ partition: PartitionID) {
    let number = Int(partition.value)
    guard partitions[number] != nil else { return }
    seeks += 1
    partitions[number] = Partition(seeks: seeks)
  }

  func consumed(_ partition: PartitionID, attempt: UInt64, count: Int) {
    let number = Int(partition.value)
    guard partitions[number]?.attempt == attempt else { return }
    partitions[number]!.outstanding -= count
    for partition in partitions.keys.sorted() { poll(partition) }
  }

  func commit(_ partition: PartitionID, _ offset: Offset) {
    let number = Int(partition.value)
    guard partitions[number] != nil else { return }
    let (broker, consumers, member, generation) = (broker, consumers, member, generation)
    broker.call(
      from: owner,
      {
        // A zombie's would take the group back.
        guard consumers.accepts(member: member, generation: generation) else { return }
        broker.commit(Self.group, TopicPartition(topic: .examples, partition: number), offset.value)
      }
    ) {}
  }

  // MARK: - Reading

  /// While examples pile up, nothing is read.
  private func poll(_ partition: Int) {
    guard let state = partitions[partition], let position = state.position, !state.isAsking,
      partitions.values.allSatisfy({ $0.outstanding < limit })
    else { return }
    partitions[partition]!.isAsking = true
    let log = broker.log(.examples, partition)
    let count = owner.world.draw(1...Self.recordsPerPoll)
    let seeks = state.seeks
    broker.call(from: owner, { position < log.start ? nil : log.read(from: position, limit: count) }) {
      [weak self] result in
      if let result {
        self?.read(partition, seeks: seeks, result)
      } else {
        self?.isOutOfRange(partition, seeks: seeks)
      }
    }
  }

  /// What comes next has been deleted.
  private func isOutOfRange(_ partition: Int, seeks: Int) {
    guard let state = partitions[partition], state.seeks == seeks else { return }
    partitions[partition] = Partition()
    deliver(.unreadable(PartitionID(Int32(partition)), attempt: state.attempt, reason: "out of range"))
  }

  private func read(_ partition: Int, seeks: Int, _ result: (records: [LogRecord], next: Int64, isAtEnd: Bool)) {
    guard var state = partitions[partition], state.seeks == seeks else { return }
    state.isAsking = false
    state.position = result.next
    guard !result.records.isEmpty else {
      partitions[partition] = state
      let owner = owner
      let life = owner.life
      let again = { [weak self] in
        guard owner.isUp, owner.life == life else { return }
        owner.after(microseconds: 100) { [weak self] in self?.poll(partition) }
      }
      if broker.log(.examples, partition).stableEnd > result.next {
        again()
      } else {
        broker.wait(for: TopicPartition(topic: .examples, partition: partition), again)
      }
      return
    }
    var batch = ExampleBatch(
      layout: layout, capacity: Self.recordsPerPoll,
      fidCapacity: layout.slotCount * ModelSpec.Limits.fidsPerSlot + Self.recordsPerPoll * 16)
    for record in result.records {
      do {
        try (record.payload ?? []).withUnsafeBytes { try batch.append($0, offset: record.offset) }
      } catch {
        owner.world.fail("examples are readable", "partition \(partition) offset \(record.offset): \(error)")
      }
    }
    state.outstanding += batch.count
    partitions[partition] = state
    deliver(.examples(PartitionID(Int32(partition)), attempt: state.attempt, batch))
    poll(partition)
  }
}
