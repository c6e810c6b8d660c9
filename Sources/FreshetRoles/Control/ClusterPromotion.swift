import Foundation
import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore

/// `freshet ctl promote`: has every replica copy a second model beside the one that answers, and then has all of them answer from it.
///
/// Nothing is switched before every replica is ready. Each of them goes on as it was if it is told nothing more.
public struct ClusterPromotion {
  public struct Options: Sendable {
    /// How far the candidate's scores may be behind those of the model that answers.
    public var maximumLagMs: Int
    public var isForced: Bool
    public var untilRestart: Bool
    /// What copying and catching up may take.
    public var timeoutSeconds: Int

    public init(maximumLagMs: Int, isForced: Bool, untilRestart: Bool, timeoutSeconds: Int) {
      self.maximumLagMs = maximumLagMs
      self.isForced = isForced
      self.untilRestart = untilRestart
      self.timeoutSeconds = timeoutSeconds
    }
  }

  /// Why replicas go on with the model that they had.
  public struct Failure: DescribedError {
    public let code = "promotion"
    public let message: String
  }

  /// Beside the stride of a row: its part of the index, with room to grow.
  private static let indexBytesPerRow = 36
  private static let pollMs = 250
  /// A replica that was ready may be behind again for a moment when its turn comes.
  private static let activateSeconds = 10.0

  private struct Replica {
    let address: ServerAddress
    let connection: RESPConnection
    /// Whether it copies the candidate because of this run.
    var isPrepared = false
    var shown = ""
  }

  private let configuration: FreshetConfiguration
  private let candidate: FreshetConfiguration
  private let options: Options
  private let group: any EventLoopGroup
  private let tell: (String) -> Void

  /// - Parameters:
  ///   - configuration: Of the cluster whose replicas are to change over.
  ///   - candidate: The model that they are to serve.
  ///   - tell: Called with each line of progress.
  public init(
    _ configuration: FreshetConfiguration, to candidate: FreshetConfiguration, options: Options,
    on group: any EventLoopGroup, tell: @escaping (String) -> Void
  ) {
    self.configuration = configuration
    self.candidate = candidate
    self.options = options
    self.group = group
    self.tell = tell
  }

  /// - Throws: `Failure`. Then no replica was switched, unless the message says so.
  public func run(replicas addresses: [ServerAddress]) async throws {
    guard candidate.cluster.password == configuration.cluster.password else {
      throw Failure(message: "the candidate's cluster.password is not the cluster's: replicas use one for both")
    }
    let bytes = try await expectedBytes()
    tell(
      "candidate: \(candidate.modelDescription); a copy takes about \(bytes >> 20) MiB on each replica, beside the one that answers"
    )
    var replicas: [Replica] = []
    do {
      for address in addresses {
        if let connection = try await connect(address) {
          replicas.append(Replica(address: address, connection: connection))
        }
      }
      guard !replicas.isEmpty else {
        throw Failure(message: "every replica answers from \(candidate.modelDescription) already")
      }
      try await prepare(&replicas, expectedBytes: bytes)
    } catch {
      await abort(replicas)
      throw error
    }
    try await activate(replicas)
    for replica in replicas { await replica.connection.close() }
  }

  // MARK: - Servers

  private func client(_ address: ServerAddress) -> RESPClientConfiguration {
    var client = RESPClientConfiguration.standard(
      host: address.host, port: address.port, password: configuration.cluster.password)
    client.connectTimeoutMs = 2_000
    // A replica that takes over saves its old copy first.
    client.replyTimeoutMs = 60_000
    return client
  }

  /// What a copy of the candidate takes, by what its servers have now.
  private func expectedBytes() async throws -> Int {
    var bytes = 0
    let layouts = try ModelTables(candidate.model).servingLayouts(weightFormat: configuration.serving.weights)
    for address in candidate.cluster.servers {
      let info: [String: String]
      do {
        let connection = try await RESPConnection.connect(client(address), on: group)
        info = ClusterStatus.parse(info: try await connection.command(["INFO"]).text ?? "")
        await connection.close()
      } catch {
        throw Failure(message: "the candidate's parameter server \(address) does not answer: \(Self.text(of: error))")
      }
      guard info["role"] == "ps" else { throw Failure(message: "\(address) is no parameter server") }
      guard info["loading"] == "0" else {
        throw Failure(message: "the candidate's parameter server \(address) is still restoring its shards")
      }
      for layout in layouts {
        guard let rows = info["\(layout.name)_rows"].flatMap({ Int($0) }) else {
          throw Failure(message: "\(address) has no table \(layout.name): it is a server of another model")
        }
        bytes += rows * (layout.strideBytes + Self.indexBytesPerRow)
      }
    }
    return bytes
  }

  // MARK: - Replicas

  /// - Returns: nil if the replica serves the candidate already.
  private func connect(_ address: ServerAddress) async throws -> RESPConnection? {
    do {
      let connection = try await RESPConnection.connect(client(address), on: group)
      let info = ClusterStatus.parse(info: try await connection.command(["INFO"]).text ?? "")
      guard info["role"] == "serve" else { throw Failure(message: "\(address) is no replica") }
      let live = "\(info["model"] ?? "") version \(info["model_version"] ?? "") of \(info["model_servers"] ?? "")"
      guard live != candidate.modelDescription else {
        tell("\(address) answers from it already")
        await connection.close()
        return nil
      }
      tell("\(address) answers from \(live)")
      return connection
    } catch let error as Failure {
      throw error
    } catch {
      throw Failure(message: "replica \(address) does not answer: \(Self.text(of: error))")
    }
  }

  private func prepare(_ replicas: inout [Replica], expectedBytes: Int) async throws {
    let request = PromotionCommand.Request(
      configuration: candidate.modelText, maximumLagMs: options.maximumLagMs, expectedBytes: expectedBytes,
      isForced: options.isForced, untilRestart: options.untilRestart)
    for position in replicas.indices {
      _ = try await ask(replicas[position], .prepare(request))
      replicas[position].isPrepared = true
    }
    let deadline = Instant.now().advanced(byMs: options.timeoutSeconds * 1000)
    while true {
      var waiting: [String] = []
      for position in replicas.indices {
        let status = try await ask(replicas[position], .status)
        let address = replicas[position].address
        guard let phase = status["promotion"], phase == "copying" || phase == "ready" else {
          let reason = status["promotion_error"] ?? "it knows of no promotion; was it restarted?"
          throw Failure(message: "replica \(address) has given up the candidate: \(reason)")
        }
        let line = Self.progress(status)
        if line != replicas[position].shown { tell("\(address) \(line)") }
        replicas[position].shown = line
        if phase != "ready" {
          let trouble = status["candidate_trouble"].map { " (\($0))" } ?? ""
          waiting.append("\(address): \(status["candidate_waits_for"] ?? "copying")\(trouble)")
        }
      }
      if waiting.isEmpty { return }
      guard Instant.now() < deadline else {
        throw Failure(
          message:
            "not ready within \(options.timeoutSeconds) s, nothing was switched: \(waiting.joined(separator: "; "))")
      }
      try await Task.sleep(for: .milliseconds(Self.pollMs))
    }
  }

  private static func progress(_ status: [String: String]) -> String {
    func value(_ key: String) -> String { status["candidate_\(key)"] ?? "?" }
    let behind = status["candidate_lag_ms"].map { "\($0) ms" } ?? "longer than it is watched"
    return
      "\(status["promotion"] ?? ""): \(value("shards_complete")) of \(value("shards")) shards, \(value("rows")) rows, "
      + "\((Int(value("bytes")) ?? 0) >> 20) MiB; behind by \(value("lag_examples")) examples, \(behind)"
  }

  private func activate(_ replicas: [Replica]) async throws {
    var failures: [String] = []
    for replica in replicas {
      do {
        let startedAt = Instant.now()
        try await activate(replica)
        let ms = Int(Instant.now().milliseconds(since: startedAt))
        tell("\(replica.address) answers from version \(candidate.model.version) now; the old copy is freed (\(ms) ms)")
      } catch {
        failures.append(Self.text(of: error))
        await abort([replica])
      }
    }
    guard !failures.isEmpty else { return }
    let others = replicas.count - failures.count
    throw Failure(
      message: "\(others) of \(replicas.count) replicas were switched; the same command again does the rest: "
        + failures.joined(separator: "; "))
  }

  private func activate(_ replica: Replica) async throws {
    let deadline = Instant.now().advanced(byMs: Int(Self.activateSeconds * 1000))
    while true {
      do {
        _ = try await ask(replica, .activate(version: candidate.model.version))
        return
      } catch let failure as Failure {
        throw failure
      } catch let error as WireError where (error.kind == .loading || error.kind == .busy) && Instant.now() < deadline {
        try await Task.sleep(for: .milliseconds(Self.pollMs))
      } catch {
        throw Failure(message: "replica \(replica.address): \(Self.text(of: error))")
      }
    }
  }

  private func abort(_ replicas: [Replica]) async {
    for replica in replicas {
      do {
        if replica.isPrepared { _ = try await ask(replica, .abort) }
      } catch {
        tell("\(replica.address) could not be told to give up the candidate, and does so by itself within a minute")
      }
      await replica.connection.close()
    }
  }

  /// - Throws: `WireError` from an activation, `Failure` otherwise.
  private func ask(_ replica: Replica, _ command: PromotionCommand) async throws -> [String: String] {
    do {
      let reply = try await replica.connection.send { ServingCommand.promote(command).encode(into: &$0) }
      return ClusterStatus.parse(info: reply.text ?? "")
    } catch {
      if case .activate = command { throw error }
      throw Failure(message: "replica \(replica.address): \(Self.text(of: error))")
    }
  }

  private static func text(of error: any Error) -> String { (error as? any DescribedError)?.message ?? "\(error)" }
}
