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
    /// The server restores its shards, or has no room for more work; it will take the request later.
    case loading
    /// Kafka has deleted examples that were not yet applied.
    case gap
    /// The server refused or broke off, in its own words.
    case refused
  }

  /// Where a shard is that this server does not have.
  public struct Redirection: Sendable, Equatable {
    public let shard: ShardID
    public let server: ServerID

    public init(shard: ShardID, server: ServerID) {
      self.shard = shard
      self.server = server
    }
  }

  public let kind: Code
  public let message: String
  /// Of `moved`, as long as the error is on the server that made it.
  public let redirection: Redirection?

  public init(_ kind: Code, _ message: String) {
    self.kind = kind
    self.message = message
    redirection = nil
  }

  public init(moved redirection: Redirection) {
    kind = .moved
    message = "shard \(redirection.shard) is on server \(redirection.server)"
    self.redirection = redirection
  }

  public init(_ malformed: MalformedBlob) { self.init(.malformed, malformed.description) }

  public var code: String { kind.rawValue }
}
