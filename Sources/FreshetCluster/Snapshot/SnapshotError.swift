import FreshetCore

/// A snapshot that cannot be read, or cannot be used here.
public struct SnapshotError: DescribedError, Equatable {
  public enum Kind: String, Sendable {
    /// A file is not what its format says, or not what its manifest says.
    case malformed = "snapshot-malformed"
    /// The snapshot is whole and belongs to another configuration.
    case mismatch = "snapshot-mismatch"
    /// There are snapshots of a shard, and none of them can be read.
    case noneWhole = "snapshot-none-whole"
    /// The store did not answer.
    case store = "snapshot-store"
  }

  public let kind: Kind
  public let message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public init(_ error: FileStoreError) { self.init(.store, error.description) }

  public var code: String { kind.rawValue }
}
