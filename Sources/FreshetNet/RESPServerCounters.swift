import FreshetWire
import Synchronization

/// Counts what a server's connections do on one event loop, for any thread to read.
final class RESPServerCounters: Sendable {
  /// One counter, on the heap.
  final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    /// Only its event loop changes it, so no other change can come between.
    @inline(__always)
    func add(_ amount: Int) { value.store(value.load(ordering: .relaxed) &+ amount, ordering: .relaxed) }
    var current: Int { value.load(ordering: .relaxed) }
  }

  let connected = Counter()
  let accepted = Counter()
  let rejected = Counter()
  let protocolErrors = Counter()
  let pauses = Counter()
  let slowReaders = Counter()
  let unknownCommands = Counter()
  let bytesIn = Counter()
  let bytesOut = Counter()
  let names: [CommandName]
  /// By position in the table of commands.
  let byCommand: [Counter]

  init(commands: [CommandName]) {
    names = commands
    byCommand = commands.map { _ in Counter() }
  }
}

extension RESPServerStatistics {
  /// - Parameter loops: Counters of the same commands.
  init(_ loops: [RESPServerCounters]) {
    func sum(_ counter: (RESPServerCounters) -> RESPServerCounters.Counter) -> Int {
      loops.reduce(0) { $0 + counter($1).current }
    }
    let names = loops.first?.names ?? []
    self.init(
      connected: sum(\.connected), accepted: sum(\.accepted), rejected: sum(\.rejected),
      protocolErrors: sum(\.protocolErrors), pauses: sum(\.pauses), slowReaders: sum(\.slowReaders),
      unknownCommands: sum(\.unknownCommands), bytesIn: sum(\.bytesIn), bytesOut: sum(\.bytesOut),
      commands: names.indices.map { position in
        CommandCount(name: names[position].text.lowercased(), count: sum { $0.byCommand[position] })
      }.filter { $0.count > 0 }.sorted { $0.name < $1.name })
  }
}

/// What a server has done since it started.
public struct RESPServerStatistics: Sendable, Equatable {
  public struct CommandCount: Sendable, Equatable {
    /// In lower case.
    public let name: String
    public let count: Int
  }

  /// Connections that are open now.
  public let connected: Int
  public let accepted: Int
  /// Connections refused with `BUSY`.
  public let rejected: Int
  /// Connections closed because of broken or oversized framing.
  public let protocolErrors: Int
  /// How often a connection was not read on because it had the most unanswered requests or did not read its replies.
  public let pauses: Int
  /// Connections closed because their clients did not read for too long.
  public let slowReaders: Int
  public let unknownCommands: Int
  public let bytesIn: Int
  public let bytesOut: Int
  /// Requests by command, by name; commands never sent are left out.
  public let commands: [CommandCount]
}

extension RESPServerStatistics {
  /// The sections `Clients`, `Stats` and `Commandstats` of INFO, with Redis' names where Redis has them.
  public var info: String {
    let lines =
      [
        "# Clients", "connected_clients:\(connected)", "", "# Stats", "total_connections_received:\(accepted)",
        "total_commands_processed:\(commands.reduce(0) { $0 + $1.count })", "total_net_input_bytes:\(bytesIn)",
        "total_net_output_bytes:\(bytesOut)", "rejected_connections:\(rejected)", "protocol_errors:\(protocolErrors)",
        "paused_connections:\(pauses)", "slow_readers_closed:\(slowReaders)",
        "unknown_commands:\(unknownCommands)", "", "# Commandstats",
      ] + commands.map { "cmdstat_\($0.name):calls=\($0.count)" }
    return lines.joined(separator: "\r\n") + "\r\n"
  }
}
