import FreshetCluster
import FreshetCore

/// A replica beside servers of the same thread, without sockets between them.
final class LocalReplica {
  let replica: Replica
  private let now = Instant.now()

  init(tables: ModelTables, map: ShardMap) {
    replica = Replica(tables: tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
  }

  /// Brings the replica up to what the servers have learned.
  func synchronise(with servers: [ShardServer]) throws {
    for (number, server) in servers.enumerated() { try synchronise(ServerID(number), server) }
  }

  private func synchronise(_ id: ServerID, _ server: ShardServer) throws {
    _ = server.sealDeltas(includingDense: true, compressor: NoCompressor())
    // The replica's last request found nothing and was not repeated; a new connection asks again.
    _ = replica.handle(.disconnected(id, reason: "asks again"), now: now)
    var actions = replica.handle(.connected(id), now: now)
    while !actions.isEmpty {
      var next: [ReplicaAction] = []
      for case .sync(let id, let body) in actions {
        let request = try body.withUnsafeBytes { try SyncRequest(decoding: $0) }
        let frames = try server.sync(request, limitBytes: 8 << 20, compressor: NoCompressor())
        guard !frames.isEmpty else { continue }
        for frame in frames { next += frame.withUnsafeBytes { replica.handle(.frame(id, $0), now: now) } }
        next += replica.handle(.answered(id, .success(())), now: now)
      }
      actions = next
    }
  }
}
