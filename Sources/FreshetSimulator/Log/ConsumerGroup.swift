import FreshetCore

/// A process that is a member of a consumer group. The group calls it in the process's own time.
protocol GroupMember: SimulatedProcess {
  /// Gives its partitions up, and calls `done` when it has.
  func groupRevokes(_ done: @escaping () -> Void)
  /// It has lost its partitions: others may have them already.
  func groupLoses()
  func groupAssigns(_ partitions: [Int], member: Int, generation: Int)
}

/// The coordinator of a consumer group: who has which partitions, in which generation.
///
/// A rebalance asks all members to give up what they have and come back; who does not in time is out, and does not know. A
/// process that comes back under its name soon enough takes up its partitions without a rebalance.
final class ConsumerGroup {
  struct Settings {
    var sessionTimeoutMs: Int
    var rebalanceTimeoutMs: Int
  }

  private struct Member {
    let number: Int
    let process: any GroupMember
    var life: Int
    var lastSeen: UInt64
    var partitions: [Int] = []
    var hasRejoined = true
  }

  static let tickMs = 200

  let name: String
  private let world: World
  private let network: Network
  private let brokerNode: Int
  private let settings: Settings
  private let partitionCount: Int
  private var members: [Member] = []
  private var joined = 0
  private(set) var generation = 0
  private var rebalanceDeadline: UInt64?
  /// Counts rebalances.
  private var round = 0
  /// By node, when the last message to it arrives: they do not pass each other.
  private var lastArrival: [Int: UInt64] = [:]

  init(
    name: String, world: World, network: Network, brokerNode: Int, partitionCount: Int, settings: Settings
  ) {
    self.name = name
    self.world = world
    self.network = network
    self.brokerNode = brokerNode
    self.partitionCount = partitionCount
    self.settings = settings
    tick()
  }

  /// Lets go of everybody.
  func end() { members = [] }

  func accepts(member: Int, generation: Int) -> Bool {
    generation == self.generation && members.contains { $0.number == member }
  }

  // MARK: - Joining and leaving

  /// A process that has just started, or has learned that it is out, joins.
  func join(_ process: any GroupMember) {
    process.after(microseconds: 2 * network.drawLatency()) { [self] in
      guard network.isOpen(process.node, brokerNode) else {
        return process.after(milliseconds: Self.tickMs) { [self] in join(process) }
      }
      if let position = members.firstIndex(where: { $0.process === process }) {
        guard members[position].life != process.life else { return }
        members[position].life = process.life
        members[position].lastSeen = world.now.nanoseconds
        members[position].hasRejoined = true
        if rebalanceDeadline == nil { assign(members[position]) } else { completeIfPossible() }
        return
      }
      joined += 1
      members.append(
        Member(number: joined, process: process, life: process.life, lastSeen: world.now.nanoseconds))
      rebalance()
    }
  }

  /// A process that stops for good leaves.
  func leave(_ process: any GroupMember) {
    guard members.contains(where: { $0.process === process }) else { return }
    members.removeAll { $0.process === process }
    rebalance()
  }

  // MARK: - Rebalancing

  /// Asks everybody to give up and come back.
  func rebalance() {
    if rebalanceDeadline == nil {
      world.met(.rebalance)
      world.note(name, "rebalances")
      round += 1
      rebalanceDeadline = world.now.nanoseconds + UInt64(settings.rebalanceTimeoutMs) * 1_000_000
      for position in members.indices where !members[position].partitions.isEmpty {
        members[position].hasRejoined = false
        ask(members[position])
      }
    }
    completeIfPossible()
  }

  /// Lets `body` run at a member when the coordinator's message has arrived; it waits while the way is blocked.
  private func tell(_ process: any GroupMember, life: Int, laterBy delay: Int = 0, _ body: @escaping () -> Void) {
    guard process.isUp, process.life == life else { return }
    let wait =
      delay + network.drawLatency() + (network.blockedMicroseconds(from: brokerNode, to: process.node) ?? 0)
    let arrival = max(world.now.nanoseconds + UInt64(wait) * 1000, (lastArrival[process.node] ?? 0) + 1000)
    lastArrival[process.node] = arrival
    world.after(Int((arrival - world.now.nanoseconds) / 1000), for: process, body)
  }

  /// Tells a member to give up its partitions.
  private func ask(_ member: Member) {
    let number = member.number
    let round = round
    tell(member.process, life: member.life) { [self] in
      guard round == self.round, members.contains(where: { $0.number == number }) else { return }
      member.process.groupRevokes { [self] in
        member.process.after(microseconds: network.drawLatency()) { [self] in
          guard round == self.round, rebalanceDeadline != nil,
            let position = members.firstIndex(where: { $0.number == number })
          else { return }
          members[position].hasRejoined = true
          members[position].partitions = []
          completeIfPossible()
        }
      }
    }
  }

  private func completeIfPossible() {
    guard let deadline = rebalanceDeadline else { return }
    let isDue = world.now.nanoseconds >= deadline
    guard isDue || members.allSatisfy(\.hasRejoined) else { return }
    for member in members where !member.hasRejoined { expel(member) }
    members.removeAll { !$0.hasRejoined }
    rebalanceDeadline = nil
    generation += 1
    for position in members.indices { members[position].partitions = [] }
    if !members.isEmpty {
      for partition in 0..<partitionCount {
        members[partition * members.count / partitionCount].partitions.append(partition)
      }
    }
    world.note(name, "is in generation {0} with {1} members", Int64(generation), Int64(members.count))
    for member in members { assign(member) }
  }

  private func assign(_ member: Member) {
    let generation = generation
    tell(member.process, life: member.life) {
      member.process.groupAssigns(member.partitions, member: member.number, generation: generation)
    }
  }

  /// The member is out. It learns of it when it next hears from the coordinator.
  private func expel(_ member: Member) {
    world.met(.memberExpired)
    world.note(name, "expels {0}", Int64(member.number), text: member.process.name)
    let process = member.process
    tell(process, life: member.life, laterBy: world.draw(0...300) * 1000) { [self] in
      guard !members.contains(where: { $0.process === process && $0.number != member.number }) else { return }
      process.groupLoses()
      join(process)
    }
  }

  /// Gives everything to the others at once, although a member goes on: two owners.
  func expelAtOnce(_ process: any GroupMember) {
    guard let member = members.first(where: { $0.process === process && !$0.partitions.isEmpty }), members.count > 1
    else { return }
    world.met(.secondOwner)
    members.removeAll { $0.number == member.number }
    expel(member)
    rebalance()
  }

  private func tick() {
    world.after(Self.tickMs * 1000, for: nil) { [self] in
      let now = world.now.nanoseconds
      for position in members.indices {
        let process = members[position].process
        if process.isUp, process.life == members[position].life, !process.isPaused,
          network.isOpen(process.node, brokerNode)
        {
          members[position].lastSeen = now
        }
      }
      let silent = members.filter { now - $0.lastSeen > UInt64(settings.sessionTimeoutMs) * 1_000_000 }
      if !silent.isEmpty {
        members.removeAll { member in silent.contains { $0.number == member.number } }
        for member in silent { expel(member) }
        rebalance()
      } else {
        completeIfPossible()
      }
      tick()
    }
  }
}
