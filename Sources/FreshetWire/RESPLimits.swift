/// What a decoder accepts. Reaching a bound is an error with code `TOOBIG`, raised as soon as a length is announced.
public struct RESPLimits: Sendable, Equatable {
  /// Arguments of a request; elements of a reply, those of nested values included.
  public var maxArguments: Int
  public var maxBulkBytes: Int
  /// A whole request or reply with its framing. At most 4 GiB − 1.
  public var maxFrameBytes: Int
  /// Aggregates inside aggregates. Requests have none.
  public var maxDepth: Int

  public init(maxArguments: Int, maxBulkBytes: Int, maxFrameBytes: Int, maxDepth: Int) {
    precondition(maxArguments > 0 && maxBulkBytes >= 0 && maxDepth > 0)
    precondition(maxFrameBytes > 0 && maxFrameBytes <= Int(UInt32.max))
    self.maxArguments = maxArguments
    self.maxBulkBytes = maxBulkBytes
    self.maxFrameBytes = maxFrameBytes
    self.maxDepth = maxDepth
  }

  /// What a server accepts: 65,536 arguments, 32 MiB each, 64 MiB together.
  public static let requests = RESPLimits(
    maxArguments: 65_536, maxBulkBytes: 32 << 20, maxFrameBytes: 64 << 20, maxDepth: 1)

  /// What a server accepts before a required password has been given: enough for AUTH and HELLO.
  public static let unauthenticated = RESPLimits(
    maxArguments: 16, maxBulkBytes: 4096, maxFrameBytes: 16_384, maxDepth: 1)

  /// What a client accepts: a million elements, 256 MiB each, 512 MiB together.
  public static let replies = RESPLimits(
    maxArguments: 1 << 20, maxBulkBytes: 256 << 20, maxFrameBytes: 512 << 20, maxDepth: 32)

  /// Longest header, inline request or simple string.
  static let maxLineBytes = 65_536
  /// Longest line that holds a length or number.
  static let maxNumberLineBytes = 32
}
