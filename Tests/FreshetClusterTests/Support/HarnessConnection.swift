import FreshetCore

@testable import FreshetCluster

/// One connection of one trainer to one server: requests and replies arrive in order, each when the harness says so.
///
/// A connection that broke lingers: the server may still read what had been sent, and nobody hears its replies.
final class HarnessConnection {
  enum Request {
    case claim(PartitionID, attempt: UInt64)
    case pull(PartitionID, attempt: UInt64, batch: UInt64, body: [UInt8])
    case push(
      PartitionID, attempt: UInt64, batch: UInt64, epoch: Epoch, from: Offset, to: Offset, body: [UInt8])
  }

  enum Reply {
    case claimed(PartitionID, attempt: UInt64, Result<ClaimReply, ClusterError>)
    case pulled(PartitionID, attempt: UInt64, batch: UInt64, Result<[UInt8], ClusterError>)
    case pushed(PartitionID, attempt: UInt64, batch: UInt64, Result<Void, ClusterError>)

    /// Hands the event to `body` while the reply's bytes are in place.
    func withEvent(from server: ServerID, _ body: (TrainerEvent) -> Void) {
      switch self {
      case .claimed(let partition, let attempt, let result):
        body(.claimed(server, partition, attempt: attempt, result))
      case .pushed(let partition, let attempt, let batch, let result):
        body(.pushed(server, partition, attempt: attempt, batch: batch, result))
      case .pulled(let partition, let attempt, let batch, .failure(let error)):
        body(.pulled(server, partition, attempt: attempt, batch: batch, .failure(error)))
      case .pulled(let partition, let attempt, let batch, .success(let bytes)):
        bytes.withUnsafeBytes { body(.pulled(server, partition, attempt: attempt, batch: batch, .success($0))) }
      }
    }
  }

  let trainer: Int
  let server: ServerID
  var isOpen = true
  var requests: [Request] = []
  var replies: [Reply] = []

  init(trainer: Int, server: ServerID) {
    self.trainer = trainer
    self.server = server
  }

  /// Lets the server process the oldest request.
  func serve(_ machine: ShardServer) {
    let reply: Reply
    switch requests.removeFirst() {
    case .claim(let partition, let attempt):
      reply = .claimed(partition, attempt: attempt, .success(machine.claim(partition)))
    case .pull(let partition, let attempt, let batch, let body):
      let result = Result { () throws(ClusterError) -> [UInt8] in
        try machine.pull(body).withUnsafeBytes { Array($0) }
      }
      reply = .pulled(partition, attempt: attempt, batch: batch, result)
    case .push(let partition, let attempt, let batch, let epoch, let from, let to, let body):
      let result = Result { () throws(ClusterError) in
        _ = try machine.push(body, partition, epoch, from.value, to.value)
      }
      reply = .pushed(partition, attempt: attempt, batch: batch, result)
    }
    if isOpen { replies.append(reply) }
  }
}
