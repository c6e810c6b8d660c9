import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore
import NIOPosix

/// `freshet bench push`: pushes gradients of random rows to every parameter server of a cluster at a fixed rate, as trainers
/// do, so that replicas have rows to copy. For clusters that were made for measuring: the rows stay.
public struct PushLoad: Sendable {
  public struct Settings: Sendable {
    /// Rows of the model's first table that are pushed to.
    public var rows: Int
    /// Over all servers.
    public var rowsPerSecond: Int
    public var seconds: Double
    public var seed: UInt64

    public init(rows: Int, rowsPerSecond: Int, seconds: Double, seed: UInt64) {
      self.rows = rows
      self.rowsPerSecond = rowsPerSecond
      self.seconds = seconds
      self.seed = seed
    }
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    public var pushes: Int
    public var rows: Int
    public var rows_per_s: Double
  }

  /// The last one that servers take: no partition of a real log has this number.
  private static let partition = PartitionID(65_534)
  private static let pushesPerSecond = 100.0

  private let settings: Settings
  private let configuration: FreshetConfiguration

  public init(_ settings: Settings, configuration: FreshetConfiguration) {
    self.settings = settings
    self.configuration = configuration
  }

  /// - Throws: `NetError` if a server cannot be reached, `WireError` if it refuses.
  public func run() async throws -> Report {
    let tables = try ModelTables(configuration.model)
    let servers = configuration.cluster.servers
    let reports = try await withThrowingTaskGroup(of: Report.self) { group in
      for number in servers.indices {
        group.addTask { try await push(to: ServerID(number), width: tables.layouts[0].width) }
      }
      return try await group.reduce(into: [Report]()) { $0.append($1) }
    }
    return Report(
      pushes: reports.reduce(0) { $0 + $1.pushes }, rows: reports.reduce(0) { $0 + $1.rows },
      rows_per_s: reports.reduce(0) { $0 + $1.rows_per_s })
  }

  private func push(to server: ServerID, width: Int) async throws -> Report {
    let address = configuration.cluster.servers[server.value]
    let connection = try await RESPConnection.connect(
      .standard(host: address.host, port: address.port, password: configuration.cluster.password),
      on: MultiThreadedEventLoopGroup.singleton)
    let reply = try await connection.send { ParameterServerCommand.claim(Self.partition).encode(into: &$0) }
    guard let integers = reply.elements?.compactMap(\.integer), let claim = ClaimReply(integers: integers) else {
      throw WireError(.err, "server \(server) at \(address) answered CLAIM with something else")
    }
    var next = claim.watermarks.map(\.watermark.value).max() ?? -1
    var batch = PushBatch(
      map: configuration.cluster.map, server: server, width: width, seed: settings.seed ^ UInt64(server.value))
    let rowsPerPush = max(
      1, Int(Double(settings.rowsPerSecond) / Self.pushesPerSecond) / configuration.cluster.servers.count)
    let start = Instant.now()
    var report = Report(pushes: 0, rows: 0, rows_per_s: 0)
    while Double(report.pushes) / Self.pushesPerSecond < settings.seconds {
      let due = start.advanced(bySeconds: Double(report.pushes) / Self.pushesPerSecond)
      let now = Instant.now()
      if due > now { try await Task.sleep(for: .nanoseconds(Int64(due.nanoseconds - now.nanoseconds))) }
      let from = Offset(next)
      next = max(next, 0) + 1
      let to = Offset(next)
      let body = batch.body(rows: rowsPerPush, of: settings.rows)
      report.rows += batch.rowCount
      _ = try await connection.send { encoder in
        ParameterServerCommand.push(Self.partition, claim.epoch, from: from, to: to, ByteBuffer(bytes: body))
          .encode(into: &encoder)
      }
      report.pushes += 1
    }
    report.rows_per_s = Double(report.rows) / (Instant.now().milliseconds(since: start) / 1000)
    await connection.close()
    return report
  }
}

/// Bodies of pushes to one server.
private struct PushBatch {
  private let width: Int
  private var generator: SeededGenerator
  private let map: ShardMap
  private let server: ServerID
  private var byShard: [Set<Fid>]
  private(set) var rowCount = 0

  init(map: ShardMap, server: ServerID, width: Int, seed: UInt64) {
    self.map = map
    self.server = server
    self.width = width
    generator = SeededGenerator(seed: seed)
    byShard = Array(repeating: [], count: map.shardCount)
  }

  /// Gradients of distinct rows among the first `total`: those of `rows` draws that lie on the server.
  mutating func body(rows: Int, of total: Int) -> [UInt8] {
    let shards = map.shards(of: server)
    for shard in shards { byShard[Int(shard.value)].removeAll(keepingCapacity: true) }
    var drawn = 0
    while drawn < rows {
      let fid = Hashing.mix(UInt64.random(in: 1...UInt64(total), using: &generator))
      let shard = map.shard(of: fid)
      guard map.owner(of: shard) == server else { continue }
      byShard[Int(shard.value)].insert(fid)
      drawn += 1
    }
    var sections: [RowSection] = []
    var fids: [Fid] = []
    for shard in shards where !byShard[Int(shard.value)].isEmpty {
      let of = byShard[Int(shard.value)].sorted()
      sections.append(RowSection(shard: shard, table: 0, count: of.count))
      fids += of
    }
    rowCount = fids.count
    var writer = BinaryWriter(capacity: fids.count * (8 + 4 * width) + 256)
    fids.withUnsafeBufferPointer {
      PushRequest.encodeHead(
        minutes: UnixTime.now().minutes, report: nil, sections: sections, fids: $0, into: &writer)
    }
    for _ in 0..<fids.count * width { writer.write(Float(generator.nextUnit() - 0.5) * 0.01) }
    return writer.bytes
  }
}
