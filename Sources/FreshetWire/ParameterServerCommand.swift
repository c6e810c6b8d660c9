import FreshetCore
import NIOCore

/// The commands of a parameter server's port. Blobs are slices of the request.
public enum ParameterServerCommand: Hashable, Sendable {
  /// Raises the epoch of a partition and fences older ones.
  case claim(PartitionID)
  case pull(ByteBuffer)
  case push(PartitionID, Epoch, from: Offset, to: Offset, ByteBuffer)
  case sync(ByteBuffer)
  case row(table: String, fid: Fid)
  /// The sums of progressive validation, packed; those of all servers add up.
  case metrics
  /// Snapshots of all shards, of no earlier instant than the command's.
  case snapshot
  /// Sums over the rows of each shard, as a replica has them that keeps embeddings in this format: fp32, fp16 or bf16.
  case checksum(format: String?)
  case info(section: String?)
}

extension ParameterServerCommand {
  static let claimDescription = CommandDescription(
    name: "CLAIM", arity: 2, syntax: "CLAIM partition",
    summary: "Raise the epoch of a partition and fence older ones; replies epoch and watermarks")
  static let pullDescription = CommandDescription(
    name: "PULL", arity: 2, syntax: "PULL blob", summary: "Read the weights of rows")
  static let pushDescription = CommandDescription(
    name: "PUSH", arity: 6, syntax: "PUSH partition epoch from to blob",
    summary: "Apply the gradients of the examples from an offset up to another")
  static let syncDescription = CommandDescription(
    name: "SYNC", arity: 2, syntax: "SYNC blob", summary: "Read the rows that changed since given sequences")
  static let rowDescription = CommandDescription(
    name: "ROW", arity: 3, syntax: "ROW table fid", summary: "Show one row")
  static let metricsDescription = CommandDescription(
    name: "METRICS", arity: 1, syntax: "METRICS",
    summary: "Progressive validation as a blob; `freshet ctl status` shows it")
  static let snapshotDescription = CommandDescription(
    name: "SNAPSHOT", arity: 1, syntax: "SNAPSHOT",
    summary: "Take a snapshot of every shard; replies shard, number and bytes of each when all are durable")
  static let checksumDescription = CommandDescription(
    name: "CHECKSUM", arity: -1, syntax: "CHECKSUM [fp32 | fp16 | bf16]",
    summary: "For each shard number, generation, sequence, rows and a sum over them that replicas have as well")
  static let infoDescription = CommandDescription(
    name: "INFO", arity: -1, syntax: "INFO [section]", summary: "State and counters as text")

  /// What a parameter server knows beyond the commands that every port has.
  public static let descriptions = [
    claimDescription, pullDescription, pushDescription, syncDescription, rowDescription, metricsDescription,
    snapshotDescription, checksumDescription, infoDescription,
  ]

  /// - Throws: `ERR` that names what is wrong and the syntax.
  public init(_ request: RESPRequest) throws(WireError) {
    switch request.name {
    case "PULL":
      try Self.pullDescription.checkArity(request)
      self = .pull(request[1])
    case "PUSH":
      self = try Self.push(request)
    case "CLAIM":
      try Self.claimDescription.checkArity(request)
      self = .claim(try Self.partition(request, Self.claimDescription))
    case "SYNC":
      try Self.syncDescription.checkArity(request)
      self = .sync(request[1])
    case "ROW":
      try Self.rowDescription.checkArity(request)
      self = .row(table: try request.requireText(at: 1, "table"), fid: try request.fid(at: 2, Self.rowDescription))
    case "METRICS":
      try Self.metricsDescription.checkArity(request)
      self = .metrics
    case "SNAPSHOT":
      try Self.snapshotDescription.checkArity(request)
      self = .snapshot
    case "CHECKSUM":
      self = .checksum(format: try request.checksumFormat())
    case "INFO":
      self = .info(section: try request.infoSection(Self.infoDescription))
    default:
      throw request.unknownCommand
    }
  }

  private static func partition(
    _ request: RESPRequest, _ description: CommandDescription
  ) throws(WireError) -> PartitionID {
    PartitionID(try request.integer(at: 1, "partition", in: 0...Int32.max, description))
  }

  private static func push(_ request: RESPRequest) throws(WireError) -> ParameterServerCommand {
    try pushDescription.checkArity(request)
    let partition = try partition(request, pushDescription)
    let epoch = Epoch(try request.integer(at: 2, "epoch", in: 0...UInt64.max, pushDescription))
    let from = Offset(try request.integer(at: 3, "from", in: -1...Int64.max, pushDescription))
    let to = Offset(try request.integer(at: 4, "to", in: -1...Int64.max, pushDescription))
    guard from <= to else {
      throw WireError(
        .err, "from \(from.value) lies behind to \(to.value); expected: \(pushDescription.syntax)")
    }
    return .push(partition, epoch, from: from, to: to, request[5])
  }

  /// Appends the request that `init(_:)` reads as this command.
  public func encode(into encoder: inout RESPEncoder) {
    switch self {
    case .claim(let partition):
      encoder.writeCommand("CLAIM", argumentCount: 1)
      encoder.writeBulk(decimal: partition.value)
    case .pull(let blob):
      encoder.writeCommand("PULL", argumentCount: 1)
      encoder.writeBulk(blob)
    case .push(let partition, let epoch, let from, let to, let blob):
      Self.encodePushHeader(partition, epoch, from: from, to: to, into: &encoder)
      encoder.writeBulk(blob)
    case .sync(let blob):
      encoder.writeCommand("SYNC", argumentCount: 1)
      encoder.writeBulk(blob)
    case .row(let table, let fid):
      encoder.writeCommand("ROW", argumentCount: 2)
      encoder.writeBulk(table)
      encoder.writeBulk(decimal: fid)
    case .metrics:
      encoder.writeCommand("METRICS", argumentCount: 0)
    case .snapshot:
      encoder.writeCommand("SNAPSHOT", argumentCount: 0)
    case .checksum(let format):
      encoder.writeCommand("CHECKSUM", argumentCount: format == nil ? 0 : 1)
      if let format { encoder.writeBulk(format) }
    case .info(let section):
      encoder.writeInfo(section: section)
    }
  }

  /// A PUSH without its blob, which must follow as one bulk string: for gradients that are written in place.
  public static func encodePushHeader(
    _ partition: PartitionID, _ epoch: Epoch, from: Offset, to: Offset, into encoder: inout RESPEncoder
  ) {
    encoder.writeCommand("PUSH", argumentCount: 5)
    encoder.writeBulk(decimal: partition.value)
    encoder.writeBulk(decimal: epoch.value)
    encoder.writeBulk(decimal: from.value)
    encoder.writeBulk(decimal: to.value)
  }
}

extension RESPRequest {
  fileprivate func checksumFormat() throws(WireError) -> String? {
    guard count <= 2 else {
      let syntax = ParameterServerCommand.checksumDescription.syntax
      throw WireError(.err, "wrong number of arguments for 'checksum' command; expected: \(syntax)")
    }
    return count == 2 ? try requireText(at: 1, "format").lowercased() : nil
  }

  func infoSection(_ description: CommandDescription) throws(WireError) -> String? {
    guard count <= 2 else {
      throw WireError(.err, "wrong number of arguments for 'info' command; expected: \(description.syntax)")
    }
    return count == 2 ? try requireText(at: 1, "section").lowercased() : nil
  }
}

extension RESPEncoder {
  mutating func writeInfo(section: String?) {
    writeCommand("INFO", argumentCount: section == nil ? 0 : 1)
    if let section { writeBulk(section) }
  }
}
