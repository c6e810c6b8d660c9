import FreshetCore

/// The topics of the cluster.
enum Topic: Int, CaseIterable {
  case features, actions, examples, deadLetter
}

struct TopicPartition: Hashable {
  let topic: Topic
  let partition: Int
}

/// What a broker refuses.
enum BrokerError: Error {
  /// May work later.
  case retriable
  /// The transaction has to be aborted: the group has given the partitions to another member.
  case fencedMember
  /// Another producer has taken the transactional id, or the transaction has timed out: the process has to end.
  case fencedProducer
}

/// A Kafka broker: logs, transactions, committed offsets. Calls take their way through the network; while the broker is not
/// there they wait, as clients that try again do.
final class Broker {
  struct CommittedOffset {
    var offset: Int64
    var metadata: String
  }

  /// What one transactional id is doing.
  private struct Producer {
    var epoch = 0
    /// 0 while no transaction is open.
    var transaction = 0
    var began: UInt64 = 0
    var offsets: [TopicPartition: CommittedOffset] = [:]
    var group = ""
  }

  let world: World
  let network: Network
  let node: Int
  let transactionTimeoutMs: Int
  /// Per mille of calls that fail although the broker is there.
  let refusals: Int
  private var logs: [[LogPartition]]
  private var producers: [String: Producer] = [:]
  private var offsets: [String: [TopicPartition: CommittedOffset]] = [:]
  private var transactions = 0
  private var unavailableUntil: UInt64 = 0
  private var waiters: [TopicPartition: [() -> Void]] = [:]
  private var lastArrival: [Int: UInt64] = [:]
  /// Told of the records of every committed transaction, in order.
  var onCommitted: (TopicPartition, [LogRecord]) -> Void = { _, _ in }

  init(world: World, network: Network, starts: [[Int64]], transactionTimeoutMs: Int, refusals: Int) {
    self.world = world
    self.network = network
    node = network.addNode()
    self.transactionTimeoutMs = transactionTimeoutMs
    self.refusals = refusals
    logs = starts.map { $0.map { LogPartition(start: $0) } }
    checkTimeouts()
  }

  func log(_ topic: Topic, _ partition: Int) -> LogPartition { logs[topic.rawValue][partition] }

  // MARK: - Calls

  func makeUnavailable(milliseconds: Int) {
    unavailableUntil = max(unavailableUntil, world.now.nanoseconds + UInt64(milliseconds) * 1_000_000)
  }

  func makeAvailable() { unavailableUntil = 0 }

  private func unreachableMicroseconds(from client: Int) -> Int? {
    let now = world.now.nanoseconds
    let down = unavailableUntil > now ? Int((unavailableUntil - now) / 1000) + 1 : 0
    let blocked = network.blockedMicroseconds(from: client, to: node) ?? 0
    let wait = max(down, blocked)
    return wait > 0 ? wait : nil
  }

  /// Lets `body` run at the broker and its result come back to the process. Calls of a process arrive in order.
  func call<Result>(
    from process: SimulatedProcess, _ body: @escaping () -> Result, _ completion: @escaping (Result) -> Void
  ) {
    let ready = max(
      world.now.nanoseconds + UInt64(network.drawLatency()) * 1000, (lastArrival[process.node] ?? 0) + 1000)
    lastArrival[process.node] = ready
    arrive(process, life: process.life, after: Int((ready - world.now.nanoseconds) / 1000), body, completion)
  }

  private func arrive<Result>(
    _ process: SimulatedProcess, life: Int, after microseconds: Int, _ body: @escaping () -> Result,
    _ completion: @escaping (Result) -> Void
  ) {
    world.after(microseconds, for: nil) { [self] in
      if let wait = unreachableMicroseconds(from: process.node) {
        // A client that dies in the meantime does not try again.
        guard process.isUp, process.life == life else { return }
        lastArrival[process.node] = max(
          lastArrival[process.node] ?? 0, world.now.nanoseconds + UInt64(wait) * 1000)
        return arrive(process, life: life, after: wait, body, completion)
      }
      let result = body()
      guard process.isUp, process.life == life else { return }
      let back = network.drawLatency() + (network.blockedMicroseconds(from: node, to: process.node) ?? 0)
      world.after(back, for: process) { completion(result) }
    }
  }

  private func refuses() -> Bool {
    guard world.isFaulty, world.chance(refusals) else { return false }
    world.met(.brokerRefusal)
    return true
  }

  /// Calls `body` once when readers of the partition may find more.
  func wait(for partition: TopicPartition, _ body: @escaping () -> Void) {
    waiters[partition, default: []].append(body)
  }

  private func wake(_ partition: TopicPartition) {
    guard let waiting = waiters.removeValue(forKey: partition) else { return }
    for body in waiting { world.after(0, for: nil, body) }
  }

  /// Lets go of everybody.
  func end() { waiters = [:] }

  // MARK: - Without transactions

  func append(_ topic: Topic, _ partition: Int, _ payload: [UInt8]?) {
    log(topic, partition).append(payload, appendTimeMs: world.unixTime.milliseconds, transaction: 0)
    wake(TopicPartition(topic: topic, partition: partition))
  }

  func committed(_ group: String, _ partition: TopicPartition) -> CommittedOffset? { offsets[group]?[partition] }

  func commit(_ group: String, _ partition: TopicPartition, _ offset: Int64) {
    offsets[group, default: [:]][partition] = CommittedOffset(offset: offset, metadata: "")
  }

  /// Committed offsets as a reader of committed records asks for them: not while a transaction that moves them is open.
  func stableCommitted(_ group: String, _ partition: TopicPartition) -> Result<CommittedOffset?, BrokerError> {
    if refuses() { return .failure(.retriable) }
    for producer in producers.values where producer.group == group && producer.offsets[partition] != nil {
      return .failure(.retriable)
    }
    return .success(committed(group, partition))
  }

  // MARK: - Transactions

  /// Takes a transactional id: what an earlier producer left open is aborted, and it is fenced.
  /// - Returns: The producer's epoch.
  func initTransactions(_ id: String) -> Result<Int, BrokerError> {
    if refuses() { return .failure(.retriable) }
    if let open = producers[id], open.transaction != 0 {
      world.met(.transactionAborted)
      end(id, commits: false)
    }
    producers[id, default: Producer()].epoch += 1
    return .success(producers[id]!.epoch)
  }

  private func check(_ id: String, _ epoch: Int) -> BrokerError? {
    guard producers[id]?.epoch == epoch else {
      world.met(.producerFenced)
      return .fencedProducer
    }
    return nil
  }

  private func begin(_ id: String) {
    guard producers[id]!.transaction == 0 else { return }
    transactions += 1
    producers[id]!.transaction = transactions
    producers[id]!.began = world.now.nanoseconds
  }

  func produce(_ id: String, _ epoch: Int, _ records: [(TopicPartition, [UInt8])]) -> BrokerError? {
    if let error = check(id, epoch) { return error }
    begin(id)
    let transaction = producers[id]!.transaction
    for (partition, payload) in records {
      log(partition.topic, partition.partition).append(
        payload, appendTimeMs: world.unixTime.milliseconds, transaction: transaction)
    }
    return nil
  }

  /// Adds positions to the transaction, for a member of a group in its present generation only.
  func sendOffsets(
    _ id: String, _ epoch: Int, _ positions: [TopicPartition: CommittedOffset], of group: ConsumerGroup, member: Int,
    generation: Int
  ) -> BrokerError? {
    if let error = check(id, epoch) { return error }
    if refuses() { return .retriable }
    guard group.accepts(member: member, generation: generation) else { return .fencedMember }
    begin(id)
    producers[id]!.group = group.name
    producers[id]!.offsets.merge(positions) { $1 }
    return nil
  }

  func endTransaction(_ id: String, _ epoch: Int, commits: Bool) -> BrokerError? {
    if let error = check(id, epoch) { return error }
    if commits, refuses() { return .retriable }
    end(id, commits: commits)
    return nil
  }

  private func end(_ id: String, commits: Bool) {
    guard var producer = producers[id], producer.transaction != 0 else { return }
    let transaction = producer.transaction
    if commits {
      for (partition, offset) in producer.offsets { offsets[producer.group, default: [:]][partition] = offset }
    }
    producer.transaction = 0
    producer.offsets = [:]
    producers[id] = producer
    for topic in [Topic.examples, .deadLetter] {
      for (number, log) in logs[topic.rawValue].enumerated() {
        let records = log.endTransaction(transaction, commits: commits)
        if !records.isEmpty { onCommitted(TopicPartition(topic: topic, partition: number), records) }
        wake(TopicPartition(topic: topic, partition: number))
      }
    }
    world.note("broker", "transaction {0} ends, committed {1}", Int64(transaction), commits ? 1 : 0)
  }

  /// Transactions that nobody ends are aborted, and their producers fenced.
  private func checkTimeouts() {
    world.after(500_000, for: nil) { [self] in
      for id in producers.keys.sorted() {
        guard let producer = producers[id], producer.transaction != 0,
          world.now.nanoseconds - producer.began > UInt64(transactionTimeoutMs) * 1_000_000
        else { continue }
        world.met(.transactionExpired)
        world.met(.transactionAborted)
        end(id, commits: false)
        producers[id]!.epoch += 1
      }
      checkTimeouts()
    }
  }

  /// Whether a transaction is open.
  var hasOpenTransaction: Bool { producers.values.contains { $0.transaction != 0 } }
}
