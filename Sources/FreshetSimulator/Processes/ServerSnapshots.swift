import FreshetCluster
import FreshetCore

/// The snapshots of one life of a server.
final class ServerSnapshots {
  struct Opened {
    let machine: ShardServer
    let snapshots: ServerSnapshots?
  }

  static func open(
    _ configuration: ShardServer.Configuration, scenario: Scenario, process: ServerProcess
  ) throws -> Opened {
    Opened(machine: ShardServer(configuration: configuration), snapshots: nil)
  }

  func start() {}
  func advance() {}
  func stop(_ done: @escaping () -> Void) { done() }
  func ended() {}
}
