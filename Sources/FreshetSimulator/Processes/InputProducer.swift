import FreshetCore

/// The application: appends what users do to `features` and `actions`, round by round. It neither crashes nor loses anything.
final class InputProducer: SimulatedProcess {
  private let workload: Workload
  private let broker: Broker
  private let partitions: Int
  private var round = -1
  private var outstanding = 0
  /// The items that are published by now.
  private(set) var items: [String] = []

  init(workload: Workload, broker: Broker, partitions: Int, world: World, network: Network) {
    self.workload = workload
    self.broker = broker
    self.partitions = partitions
    super.init(world: world, network: network, name: "application")
  }

  var isDone: Bool { round == workload.rounds.count - 1 && outstanding == 0 }

  override func didStart() { beginRound() }

  private func beginRound() {
    round += 1
    note("begins round {0}", Int64(round))
    let records = workload.rounds[round].records
    outstanding = records.count
    items += workload.rounds[round].items
    // Of one partition of a topic in the order of their times.
    for record in records {
      after(milliseconds: record.afterMs + 1) { [unowned self] in
        broker.call(from: self, { [broker] in broker.append(record.topic, record.partition, record.payload) }) {
          [unowned self] in
          outstanding -= 1
        }
      }
    }
    if round < workload.rounds.count - 1 { waitForJoin() }
  }

  /// The next round begins when everything is joined: a record that is late because of a fault would be joined in another way.
  private func waitForJoin() {
    after(milliseconds: 200) { [unowned self] in
      if outstanding == 0, isJoined { beginRound() } else { waitForJoin() }
    }
  }

  /// Whether the joiners have committed everything that has been appended.
  var isJoined: Bool {
    (0..<partitions).allSatisfy { partition in
      [Topic.features, .actions].allSatisfy { topic in
        let log = broker.log(topic, partition)
        let committed = broker.committed(JoinerProcess.group, TopicPartition(topic: topic, partition: partition))
        return log.records.isEmpty && log.end == log.start || (committed?.offset ?? 0) >= log.end
      }
    }
  }
}
