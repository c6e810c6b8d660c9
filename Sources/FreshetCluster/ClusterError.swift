import FreshetCore

/// A request or a message that a machine of the cluster refuses.
public struct ClusterError: DescribedError, Equatable {
  public enum Code: String, Sendable {
    /// The claim of another trainer came later.
    case fenced
    /// The batch does not begin at the shard's watermark.
    case watermark
    /// The shard lives on another server.
    case moved
    /// The blob is not what its format says.
    case malformed
    /// The blob is well formed and does not fit this cluster's configuration.
    case mismatch
    /// Kafka has deleted examples that were not yet applied.
    case gap
    /// The server refused or broke off, in its own words.
    case refused
  }

  public let kind: Code
  public let message: String

  public init(_ kind: Code, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public init(_ malformed: MalformedBlob) { self.init(.malformed, malformed.description) }

  public var code: String { kind.rawValue }
}
