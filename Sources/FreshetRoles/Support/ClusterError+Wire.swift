import FreshetCluster
import FreshetWire

/// How refusals of the cluster's machines travel: each kind has a RESP error code of its own, so that the other side gets
/// the same kind back.
extension WireError {
  static let mismatchCode = Code(rawValue: "MISMATCH")

  /// - Parameter servers: By index. `MOVED` names the shard and the address, in the form that clients of Redis clusters parse.
  init(_ error: ClusterError, servers: [ServerAddress]) {
    if let moved = error.redirection, servers.indices.contains(moved.server.value) {
      self.init(.moved, "\(moved.shard) \(servers[moved.server.value])")
      return
    }
    let code: Code =
      switch error.kind {
      case .fenced: .fenced
      case .watermark: .watermark
      case .loading: .loading
      case .mismatch: Self.mismatchCode
      // Without an address nobody could follow.
      case .moved, .malformed, .gap, .refused: .err
      }
    self.init(code, error.message)
  }
}

extension ClusterError {
  init(_ error: WireError) {
    switch error.kind {
    case .fenced: self.init(.fenced, error.message)
    case .watermark: self.init(.watermark, error.message)
    case .moved: self.init(.moved, "shard and server: \(error.message)")
    // Too much work in hand passes as a restore does.
    case .loading, .busy: self.init(.loading, error.message)
    case WireError.mismatchCode: self.init(.mismatch, error.message)
    case .noAuth, .wrongPass: self.init(.mismatch, "\(error.message): set cluster.password to that of the servers")
    default: self.init(.refused, error.description)
    }
  }
}
