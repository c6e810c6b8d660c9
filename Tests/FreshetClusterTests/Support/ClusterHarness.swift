import FreshetCore
import FreshetModel

@testable import FreshetCluster

/// A whole training cluster in one thread: logs, trainers, servers and the connections between them. What happens next is
/// drawn from a seed; time passes only when the harness says so.
final class ClusterHarness {
  struct Options {
    var model = TestModel.tiny
    var servers = 2
    var shards = 4
    var partitions = 2
    var trainers = 2
    var examples = 20
    var fids = 12
    /// Drawn anew for each life of a trainer.
    var batchSize = 1...1
    var microBatchSize = Int.max
    var pipelineDepth = 1...3
    var allowsGap = false
    /// Before the stream of each partition.
    var passes = 0
    var validation: PartitionValidation.Settings?
    /// Trainers that are held are told to go on now and then.
    var guardBounds: TrainingGuard.Bounds?
    var faults: Set<Fault> = []
    var faultCount = 8
    /// Changes examples before they are appended.
    var adjust: (inout TestExample) -> Void = { _ in }
  }

  enum Fault: CaseIterable {
    case disconnect, crashTrainer, secondOwner, loseOwner, movePartition, trimLog, restartServer
  }

  struct Node {
    var machine: Trainer
    var isUp = true
    var links: [HarnessConnection?]
    /// Answers of the broker that are on their way.
    var located: [(PartitionID, attempt: UInt64)] = []
    var fetches: [PartitionID: Fetch] = [:]
  }

  struct Fetch {
    var attempt: UInt64
    var next: Int64
    var queued = 0
    /// Of a pass; nil once its end has been told.
    var until: Int64?
  }

  struct Log {
    var examples: [TestExample]
    var start: Int64
    /// Examples that have been appended so far.
    var visible = 0
    var end: Int64 { visible == 0 ? start : examples[visible - 1].offset + 1 }
  }

  let options: Options
  let map: ShardMap
  private(set) var random: SeededGenerator
  private(set) var servers: [ShardServer]
  private(set) var logs: [Log]
  private(set) var nodes: [Node] = []
  private var connections: [HarnessConnection] = []
  /// Which trainers believe that they are assigned each partition.
  private var owners: [Set<Int>]
  private(set) var now = Instant(nanoseconds: 1)
  private(set) var failures: [ClusterError] = []
  private(set) var steps = 0
  /// Offsets of the batches with examples, in the order of their pushes to server 0.
  private(set) var batches: [(partition: PartitionID, from: Offset, to: Offset)] = []
  private(set) var commits: [PartitionID: Offset] = [:]
  private(set) var restartedServers = 0
  /// Offsets committed that some shard had not had.
  private(set) var earlyCommits = 0

  init(_ options: Options, seed: UInt64) {
    self.options = options
    var random = SeededGenerator(seed: seed)
    let map = ShardMap(shardCount: options.shards, serverCount: options.servers)
    self.map = map
    servers = (0..<options.servers).map { options.model.server($0, of: map) }
    logs = (0..<options.partitions).map { _ in
      var offset = Int64.random(in: 0...5, using: &random)
      let start = offset
      let examples = (0..<options.examples).map { _ in
        // Transaction markers leave gaps.
        offset += random.next() % 5 == 0 ? 2 : 1
        var example = options.model.example(offset: offset - 1, fids: options.fids, random: &random)
        options.adjust(&example)
        return example
      }
      return Log(examples: examples, start: start)
    }
    owners = (0..<options.partitions).map { _ in [] }
    self.random = random
    for _ in 0..<options.trainers { nodes.append(makeNode()) }
    for partition in logs.indices { assign(partition, to: partition % options.trainers) }
  }

  private func makeNode() -> Node {
    var configuration = Trainer.Configuration(
      tables: options.model.tables, map: map, batchSize: .random(in: options.batchSize, using: &random),
      microBatchSize: options.microBatchSize, pipelineDepth: .random(in: options.pipelineDepth, using: &random),
      maximumUnacknowledged: .random(in: 1...4, using: &random), allowsGap: options.allowsGap, seed: random.next(),
      passes: options.passes)
    configuration.validation = options.validation
    configuration.guardBounds = options.guardBounds
    return Node(
      machine: Trainer(configuration: configuration), links: Array(repeating: nil, count: options.servers))
  }

  // MARK: - Running

  /// Runs with faults until there are none left, then heals everything and runs until all is trained.
  /// - Returns: Whether it was within `limit` steps.
  func run(limit: Int) -> Bool {
    var faults = options.faults.isEmpty ? 0 : options.faultCount
    while faults > 0 {
      for _ in 0..<Int.random(in: 0...60, using: &random) { step() }
      inject(options.faults.sorted { "\($0)" < "\($1)" }.randomElement(using: &random)!)
      faults -= 1
    }
    heal()
    steps = 0
    while !isDrained && steps < limit && failures.isEmpty { step() }
    return isDrained
  }

  var isDrained: Bool {
    logs.indices.allSatisfy { number in
      let partition = PartitionID(Int32(number))
      return logs[number].visible == logs[number].examples.count && commits[partition]?.value == logs[number].end
        && servers.allSatisfy { $0.hostedShards.allSatisfy { $0.watermark(of: partition).value == logs[number].end } }
    }
  }

  func step() {
    steps += 1
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<7:
      if let connection = connections.filter({ !$0.requests.isEmpty }).randomElement(using: &random) {
        serve(connection)
      }
    case 7..<14:
      let ready = connections.filter { $0.isOpen && !$0.replies.isEmpty }
      guard let connection = ready.randomElement(using: &random) else { return }
      connection.replies.removeFirst().withEvent(from: connection.server) { deliver($0, to: connection.trainer) }
    case 14..<17:
      if let trainer = nodes.indices.filter({ nodes[$0].isUp }).randomElement(using: &random) { answerFromLog(trainer) }
    case 17:
      let partition = logs.indices.randomElement(using: &random)!
      let more = Int.random(in: 1...8, using: &random)
      logs[partition].visible = min(logs[partition].examples.count, logs[partition].visible + more)
    default:
      now = now.advanced(byMs: Int.random(in: 1...100, using: &random))
      let trainer = nodes.indices.randomElement(using: &random)!
      guard nodes[trainer].isUp else { return }
      if let server = nodes[trainer].links.indices.filter({ nodes[trainer].links[$0] == nil }).randomElement(
        using: &random)
      {
        connect(trainer, server)
      }
      if nodes[trainer].machine.holdReason != nil, random.next() % 4 == 0 { deliver(.resume, to: trainer) }
      deliver(.tick, to: trainer)
    }
  }

  private func serve(_ connection: HarnessConnection) {
    let server = connection.server.value
    if server == 0, case .push(let partition, _, _, _, let from, let to, let body) = connection.requests[0],
      body.count > 8
    {
      batches.append((partition, from, to))
    }
    connection.serve(servers[server])
    if !connection.isOpen && connection.requests.isEmpty { connections.removeAll { $0 === connection } }
  }

  private func answerFromLog(_ trainer: Int) {
    if !nodes[trainer].located.isEmpty && Bool.random(using: &random) {
      let (partition, attempt) = nodes[trainer].located.removeFirst()
      let log = logs[Int(partition.stream.value)]
      deliver(.located(partition, attempt: attempt, start: Offset(log.start), end: Offset(log.end)), to: trainer)
      return
    }
    guard let (partition, fetch) = nodes[trainer].fetches.sorted(by: { $0.key < $1.key }).randomElement(using: &random),
      fetch.queued < 16
    else { return }
    let log = logs[Int(partition.stream.value)]
    let end = partition.pass > 0 ? fetch.until ?? 0 : .max
    let available = log.examples[..<log.visible].filter { $0.offset >= max(fetch.next, log.start) && $0.offset < end }
    let block = Array(available.prefix(Int.random(in: 1...12, using: &random)))
    guard let last = block.last else {
      guard fetch.until != nil else { return }
      nodes[trainer].fetches[partition]!.until = nil
      return deliver(.passEnded(partition, attempt: fetch.attempt), to: trainer)
    }
    nodes[trainer].fetches[partition]!.next = last.offset + 1
    nodes[trainer].fetches[partition]!.queued += block.count
    deliver(.examples(partition, attempt: fetch.attempt, options.model.batch(block)), to: trainer)
  }

  private func deliver(_ event: TrainerEvent, to trainer: Int) {
    for action in nodes[trainer].machine.handle(event, now: now) { perform(action, trainer) }
  }

  private func perform(_ action: TrainerAction, _ trainer: Int) {
    func send(_ server: ServerID, _ request: HarnessConnection.Request) {
      nodes[trainer].links[server.value]?.requests.append(request)
    }
    switch action {
    case .claim(let server, let partition, let attempt): send(server, .claim(partition, attempt: attempt))
    case .locate(let partition, let attempt): nodes[trainer].located.append((partition, attempt))
    case .fetch(let partition, let attempt, let from):
      nodes[trainer].fetches[partition] = Fetch(attempt: attempt, next: from.value)
    case .fetchPass(let partition, let attempt, let from, let until):
      nodes[trainer].fetches[partition] = Fetch(attempt: attempt, next: from.value, until: until.value)
    case .stopFetching(let partition): nodes[trainer].fetches[partition] = nil
    case .pull(let server, let partition, let attempt, let batch, let body):
      send(server, .pull(partition, attempt: attempt, batch: batch, body: body))
    case .push(let server, let partition, let attempt, let batch, let epoch, let from, let to, let body):
      send(server, .push(partition, attempt: attempt, batch: batch, epoch: epoch, from: from, to: to, body: body))
    case .consumed(let partition, let attempt, let count):
      guard nodes[trainer].fetches[partition]?.attempt == attempt else { return }
      nodes[trainer].fetches[partition]!.queued -= count
    case .commit(let partition, let offset):
      commits[partition] = offset
      let smallest = servers.flatMap(\.hostedShards).map { $0.watermark(of: partition) }.min()!
      // A server that restarted has lost what was committed.
      if restartedServers == 0 && offset > smallest { earlyCommits += 1 }
    case .notice, .held: break
    case .fail(let error): failures.append(error)
    }
  }

  // MARK: - Faults

  private func connect(_ trainer: Int, _ server: Int) {
    let connection = HarnessConnection(trainer: trainer, server: ServerID(server))
    connections.append(connection)
    nodes[trainer].links[server] = connection
    deliver(.connected(ServerID(server)), to: trainer)
  }

  /// Breaks a connection: replies are lost, and of the requests a random number never arrives. The others still may, later.
  private func sever(_ trainer: Int, _ server: Int) {
    guard let connection = nodes[trainer].links[server] else { return }
    nodes[trainer].links[server] = nil
    connection.isOpen = false
    connection.replies = []
    connection.requests.removeLast(Int.random(in: 0...connection.requests.count, using: &random))
    if connection.requests.isEmpty { connections.removeAll { $0 === connection } }
  }

  func assign(_ partition: Int, to trainer: Int) {
    guard owners[partition].insert(trainer).inserted, nodes[trainer].isUp else { return }
    deliver(.assigned(PartitionID(Int32(partition))), to: trainer)
  }

  private func revoke(_ partition: Int, from trainer: Int) {
    guard owners[partition].remove(trainer) != nil, nodes[trainer].isUp else { return }
    deliver(.revoked(PartitionID(Int32(partition))), to: trainer)
  }

  private func restart(_ trainer: Int) {
    nodes[trainer] = makeNode()
    for partition in owners.indices where owners[partition].contains(trainer) {
      deliver(.assigned(PartitionID(Int32(partition))), to: trainer)
    }
  }

  func inject(_ fault: Fault) {
    let trainer = nodes.indices.randomElement(using: &random)!
    let partition = logs.indices.randomElement(using: &random)!
    switch fault {
    case .disconnect:
      let server = servers.indices.randomElement(using: &random)!
      guard nodes[trainer].isUp, nodes[trainer].links[server] != nil else { return }
      sever(trainer, server)
      deliver(.disconnected(ServerID(server), reason: "broken"), to: trainer)
    case .crashTrainer:
      if nodes[trainer].isUp {
        for server in servers.indices { sever(trainer, server) }
        nodes[trainer].isUp = false
      }
      if Bool.random(using: &random) { restart(trainer) }
    case .secondOwner: assign(partition, to: trainer)
    case .loseOwner:
      if let owner = owners[partition].sorted().randomElement(using: &random) { revoke(partition, from: owner) }
    case .movePartition:
      for owner in owners[partition].sorted() { revoke(partition, from: owner) }
      assign(partition, to: trainer)
    case .trimLog:
      // Retention, as it should be: nothing goes that some shard has not had.
      let id = PartitionID(Int32(partition))
      let safe = servers.flatMap(\.hostedShards).map { $0.watermark(of: id).value }.min()!
      if safe > logs[partition].start {
        logs[partition].start = Int64.random(in: logs[partition].start...safe, using: &random)
      }
    case .restartServer:
      restartedServers += 1
      let server = servers.indices.randomElement(using: &random)!
      servers[server] = options.model.server(server, of: map, generation: random.next() | 1)
      for connection in connections where connection.server.value == server { connection.requests = [] }
      for trainer in nodes.indices where nodes[trainer].isUp && nodes[trainer].links[server] != nil {
        sever(trainer, server)
        deliver(.disconnected(ServerID(server), reason: "restarted"), to: trainer)
      }
      connections.removeAll { !$0.isOpen && $0.requests.isEmpty }
    }
  }

  /// Examples are gone that no shard has had.
  func loseExamples(of partition: Int, below offset: Int64) { logs[partition].start = offset }

  /// Every trainer is up, and every partition has exactly one owner.
  private func heal() {
    for trainer in nodes.indices where !nodes[trainer].isUp { restart(trainer) }
    for partition in owners.indices {
      let keeper = owners[partition].sorted().randomElement(using: &random)
      for owner in owners[partition].sorted() where owner != keeper { revoke(partition, from: owner) }
      if keeper == nil { assign(partition, to: nodes.indices.randomElement(using: &random)!) }
    }
  }
}
