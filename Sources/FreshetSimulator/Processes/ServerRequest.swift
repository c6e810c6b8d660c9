import FreshetCluster
import FreshetCore

/// What travels to a parameter server; bodies as on the wire.
enum ServerRequest {
  case claim(PartitionID)
  case pull([UInt8])
  case push(PartitionID, Epoch, from: Offset, to: Offset, [UInt8])
  case sync([UInt8])
}

enum ServerReply {
  case claimed(ClaimReply)
  case rows([UInt8])
  case pushed
  case frames([[UInt8]])
  case refused(ClusterError)
  /// The connection broke before the answer came.
  case broken

  /// The error as a client has it after its way over the wire, where only some kinds have a code of their own.
  var error: ClusterError? {
    switch self {
    case .refused(let error):
      switch error.kind {
      case .fenced, .watermark, .loading, .mismatch: error
      case .moved, .malformed, .gap, .refused: ClusterError(.refused, error.message)
      }
    case .broken: ClusterError(.refused, "the connection broke")
    default: nil
    }
  }
}
