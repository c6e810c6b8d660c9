import FreshetWire
import NIOCore
import Synchronization

/// What all connections of a server share.
final class RESPServerShared: Sendable {
  let configuration: RESPServerConfiguration
  let builtIns: BuiltInCommands
  let commands: CommandTable
  /// Open connections, and all there ever were.
  let open = Atomic<Int>(0)
  let lastID = Atomic<Int64>(0)

  init(_ configuration: RESPServerConfiguration) {
    self.configuration = configuration
    builtIns = BuiltInCommands(service: configuration.commands)
    commands = CommandTable(builtIns)
  }
}

/// What the connections of one event loop share.
///
/// Replies leave at the end of the loop's turn, after the requests of all connections that had any: a client that waits for
/// replies on several connections is woken once for all of them, which costs the system more than writing does.
// Sendable holds because what changes is used on the event loop only; the counters are atomic.
final class RESPServerLoop: @unchecked Sendable {
  let eventLoop: any EventLoop
  let shared: RESPServerShared
  let handler: RESPServer.Handler
  private let endTurn: RESPServer.TurnEnd
  let counters: RESPServerCounters
  private var waiting: [RESPServerConnection] = []
  private var settling: [RESPServerConnection] = []
  private var isEndScheduled = false

  init(_ eventLoop: any EventLoop, _ shared: RESPServerShared, _ service: RESPServer.LoopService) {
    self.eventLoop = eventLoop
    self.shared = shared
    handler = service.handler
    endTurn = service.endTurn
    counters = RESPServerCounters(commands: shared.commands.names)
  }

  /// Calls the connection's `settle` at the end of this turn of the loop.
  func settleLater(_ connection: RESPServerConnection) {
    waiting.append(connection)
    endTurnLater()
  }

  /// Calls the service's `endTurn`, and then settles, at the end of this turn of the loop.
  func endTurnLater() {
    guard !isEndScheduled else { return }
    isEndScheduled = true
    eventLoop.assumeIsolated().execute { self.end() }
  }

  private func end() {
    // What is begun from here on has an end of its own.
    isEndScheduled = false
    endTurn()
    swap(&waiting, &settling)
    for connection in settling { connection.settleNow() }
    settling.removeAll(keepingCapacity: true)
  }
}
