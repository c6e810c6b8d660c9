import FreshetCore
import FreshetModel

/// What happens to a trainer.
///
/// `attempt` is the number of the claim that a request belonged to; replies to older claims change nothing.
public enum TrainerEvent {
  case connected(ServerID)
  case disconnected(ServerID, reason: String)
  case assigned(PartitionID)
  case revoked(PartitionID)
  case claimed(ServerID, PartitionID, attempt: UInt64, Result<ClaimReply, ClusterError>)
  /// Which offsets of `examples` the log holds: `start ..< end`.
  case located(PartitionID, attempt: UInt64, start: Offset, end: Offset)
  /// Examples in offset order, following on from those before since `fetch`.
  case examples(PartitionID, attempt: UInt64, ExampleBatch)
  /// The log does not hold what was to be read next: retention has overtaken the reader, or the log was cut off.
  case unreadable(PartitionID, attempt: UInt64, reason: String)
  /// Every example below the end that `fetchPass` named has been delivered.
  case passEnded(PartitionID, attempt: UInt64)
  case pulled(ServerID, PartitionID, attempt: UInt64, batch: UInt64, Result<UnsafeRawBufferPointer, ClusterError>)
  case pushed(ServerID, PartitionID, attempt: UInt64, batch: UInt64, Result<Void, ClusterError>)
  case tick
  /// Training that the guard holds is to go on.
  case resume
  /// The trainer is to end: what is in flight is finished, nothing new is begun.
  case stopping
}

/// What a trainer wants done. Requests to one server must be sent in the order of the actions.
public enum TrainerAction {
  case claim(ServerID, PartitionID, attempt: UInt64)
  /// Ask the broker which offsets it holds.
  case locate(PartitionID, attempt: UInt64)
  /// Read the partition from this offset on.
  case fetch(PartitionID, attempt: UInt64, from: Offset)
  /// Read the partition that a pass is over from this offset on, and say `passEnded` when `until` is reached.
  case fetchPass(PartitionID, attempt: UInt64, from: Offset, until: Offset)
  case stopFetching(PartitionID)
  case pull(ServerID, PartitionID, attempt: UInt64, batch: UInt64, body: [UInt8])
  case push(
    ServerID, PartitionID, attempt: UInt64, batch: UInt64, epoch: Epoch, from: Offset, to: Offset, body: [UInt8])
  /// So many examples have left the queue: room for more.
  case consumed(PartitionID, attempt: UInt64, count: Int)
  /// Tell Kafka's group how far the partition is. For lag tools only; nothing reads it back.
  case commit(PartitionID, Offset)
  case notice(String)
  /// The guard has stopped training, until `TrainerEvent.resume`.
  case held(TrainingGuard.Breach)
  /// Training of everything must stop: going on would lose examples or mix up configurations.
  case fail(ClusterError)
}
