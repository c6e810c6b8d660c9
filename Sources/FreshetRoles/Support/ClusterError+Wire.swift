import FreshetCluster
import FreshetWire

/// How refusals of the cluster's machines travel: each kind has a RESP error code of its own, so that the other side gets
/// the same kind back.
extension WireError {
  static let mismatchCode = Code(rawValue: "MISMATCH")

  init(_ error: ClusterError) {
    let code: Code =
      switch error.kind {
      case .fenced: .fenced
      case .watermark: .watermark
      case .moved: .moved
      case .mismatch: Self.mismatchCode
      case .malformed, .gap, .refused: .err
      }
    self.init(code, error.message)
  }
}

extension ClusterError {
  init(_ error: WireError) {
    switch error.kind {
    case .fenced: self.init(.fenced, error.message)
    case .watermark: self.init(.watermark, error.message)
    case .moved: self.init(.moved, error.message)
    case WireError.mismatchCode: self.init(.mismatch, error.message)
    case .noAuth, .wrongPass: self.init(.mismatch, "\(error.message): set cluster.password to that of the servers")
    default: self.init(.refused, error.description)
    }
  }
}
