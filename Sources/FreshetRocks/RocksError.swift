import CRocksDB
import FreshetCore

/// What RocksDB refused, sorted by what one can do about it.
public struct RocksError: DescribedError, Equatable {
  public enum Kind: String, Sendable {
    /// The disk is full: free some of it, then open the database again.
    case noSpace = "rocks-no-space"
    /// Another process, or another place in this one, has the directory open.
    case locked = "rocks-locked"
    /// The files do not hold what was written.
    case corruption = "rocks-corruption"
    /// Anything else: permissions, a broken disk, options that do not fit.
    case failed = "rocks-failed"
  }

  public let kind: Kind
  public let message: String
  public var code: String { kind.rawValue }

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  /// The C interface gives the text of RocksDB's status only, which begins with the name of its code.
  init(status: String, _ what: String) {
    let kind: Kind =
      if status.contains("No space left on device") || status.contains("Space limit") {
        .noSpace
      } else if status.hasPrefix("IO error: lock ") || status.contains("While lock file") {
        .locked
      } else if status.hasPrefix("Corruption") || status.contains("checksum mismatch") {
        .corruption
      } else {
        .failed
      }
    self.init(kind, "\(what): \(status)")
  }
}

/// Calls a function of the C interface that tells its error through a pointer.
func checked<Result>(
  _ what: @autoclosure () -> String, _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) throws(RocksError) -> Result {
  var text: UnsafeMutablePointer<CChar>?
  let result = body(&text)
  guard let text else { return result }
  let status = String(cString: text)
  rocksdb_free(text)
  throw RocksError(status: status, what())
}
