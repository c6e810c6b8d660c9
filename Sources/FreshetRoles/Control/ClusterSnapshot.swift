import Foundation
import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore

/// Has every parameter server take a snapshot of its shards.
public enum ClusterSnapshot {
  /// What came of one server.
  public struct Outcome: Sendable, Encodable {
    public struct Shard: Sendable, Encodable {
      public let shard: Int64
      /// Of the snapshot, counted by shard.
      public let number: Int64
      /// Of its data file.
      public let bytes: Int64
    }

    public let address: String
    public var shards: [Shard]
    public var seconds: Double
    /// Why there are no snapshots.
    public var error: String?

    /// For people, one line.
    public var text: String {
      let place = address.padding(toLength: max(22, address.count), withPad: " ", startingAt: 0)
      if let error { return "\(place) FAILED  \(error)" }
      let bytes = Double(shards.reduce(0) { $0 + $1.bytes })
      return "\(place) \(shards.count) shards, \(String(format: "%.1f MB, %.2f s", bytes / 1e6, seconds))"
    }
  }

  /// Asks all servers at once.
  /// - Parameter onOutcome: Called as each of them is done.
  /// - Returns: In the order of the configuration.
  public static func take(
    _ configuration: FreshetConfiguration, on group: any EventLoopGroup, onOutcome: @escaping (Outcome) -> Void
  ) async -> [Outcome] {
    let servers = configuration.cluster.servers
    return await withTaskGroup(of: (Int, Outcome).self) { tasks in
      for (number, address) in servers.enumerated() {
        tasks.addTask { (number, await take(address, configuration.cluster.password, on: group)) }
      }
      var outcomes: [Outcome?] = servers.map { _ in nil }
      for await (number, outcome) in tasks {
        onOutcome(outcome)
        outcomes[number] = outcome
      }
      return outcomes.compactMap { $0 }
    }
  }

  private static func take(
    _ address: ServerAddress, _ password: String?, on group: any EventLoopGroup
  ) async -> Outcome {
    let startedAt = Instant.now()
    var outcome = Outcome(address: address.description, shards: [], seconds: 0, error: nil)
    var client = RESPClientConfiguration.standard(host: address.host, port: address.port, password: password)
    client.connectTimeoutMs = 2_000
    // A base of a large shard takes as long as the store takes.
    client.replyTimeoutMs = nil
    do {
      let connection = try await RESPConnection.connect(client, on: group)
      do {
        outcome.shards = try shards(of: try await connection.send { ParameterServerCommand.snapshot.encode(into: &$0) })
      } catch {
        outcome.error = "\(error)"
      }
      await connection.close()
    } catch {
      outcome.error = "\(error)"
    }
    outcome.seconds = Instant.now().milliseconds(since: startedAt) / 1000
    return outcome
  }

  private static func shards(of reply: RESPValue) throws(WireError) -> [Outcome.Shard] {
    let malformed = WireError(.err, "the reply to SNAPSHOT is not an array of shard, number and bytes")
    guard let elements = reply.elements else { throw malformed }
    var shards: [Outcome.Shard] = []
    for element in elements {
      guard let numbers = element.elements?.compactMap(\.integer), numbers.count == 3 else { throw malformed }
      shards.append(Outcome.Shard(shard: numbers[0], number: numbers[1], bytes: numbers[2]))
    }
    return shards
  }

  public static func json(_ outcomes: [Outcome]) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(["servers": outcomes]), as: UTF8.self)
  }
}
