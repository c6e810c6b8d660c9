import FreshetCore

/// An archive that cannot be written on or read.
public struct ArchiveError: DescribedError, Equatable {
  public enum Kind: String, Sendable {
    /// A file is not what its format says.
    case malformed = "archive-malformed"
    /// Offsets are missing: between two files, or between the last one and the log.
    case gap = "archive-gap"
    /// A record or a name does not fit into the format.
    case unsupported = "archive-unsupported"
    /// The store did not answer.
    case store = "archive-store"
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
