import FreshetCore
import FreshetDashboard
import FreshetHTTP
import FreshetNet
import FreshetWire
import NIOCore
import Synchronization

/// Asks a replica on behalf of somebody at the page.
final class ReplicaQuestions: Sendable {
  static let maximumItems = 200
  /// Questions under way; more are refused.
  private static let maximumInHand = 8
  private static let timeoutMs = 3_000

  struct Answer: Sendable {
    let replica: String
    let milliseconds: Double
    let items: [(id: String, score: Double)]
  }

  private let desk: DashboardDesk
  private let password: String?
  private let group: any EventLoopGroup
  private let inHand = Atomic<Int>(0)

  init(desk: DashboardDesk, password: String?, on group: any EventLoopGroup) {
    self.desk = desk
    self.password = password
    self.group = group
  }

  func recommend(_ command: ServingCommand) async throws(HTTPFailure) -> Answer {
    try await ask(command) { reply throws(WireError) in
      let elements = reply.elements ?? []
      var items: [(id: String, score: Double)] = []
      for first in stride(from: 0, to: elements.count - 1, by: 2) {
        guard let id = elements[first].text, let score = elements[first + 1].double else { throw Self.malformed }
        items.append((id, score))
      }
      return items
    }
  }

  func score(_ command: ServingCommand, ids: [String]) async throws(HTTPFailure) -> Answer {
    try await ask(command) { reply throws(WireError) in
      let scores = reply.elements?.compactMap(\.double) ?? []
      guard scores.count == ids.count else { throw Self.malformed }
      return Array(zip(ids, scores)).map { (id: $0, score: $1) }
    }
  }

  private static var malformed: WireError { WireError(.err, "the reply is not a list of ids and scores") }

  /// The first replica that can be reached answers. What it refuses, the others would refuse too.
  private func ask(
    _ command: ServingCommand,
    _ read: @Sendable (RESPValue) throws(WireError) -> [(id: String, score: Double)]
  ) async throws(HTTPFailure) -> Answer {
    defer { inHand.subtract(1, ordering: .relaxed) }
    guard inHand.add(1, ordering: .relaxed).newValue <= Self.maximumInHand else {
      throw HTTPFailure(.busy, "\(Self.maximumInHand) questions are under way, which is the limit; try again")
    }
    var reasons: [String] = []
    for replica in desk.replicasByHealth {
      do {
        let (reply, milliseconds) = try await send(command, to: replica.address)
        return Answer(replica: replica.address, milliseconds: milliseconds, items: try read(reply))
      } catch let error as WireError where !error.isConnectionFailure {
        throw HTTPFailure(error)
      } catch {
        reasons.append((error as? any DescribedError)?.message ?? "\(error)")
      }
    }
    let why = reasons.isEmpty ? "none is configured (dashboard.replicas)" : reasons.joined(separator: "; ")
    throw HTTPFailure(.unavailable, "no replica answers: \(why)")
  }

  private func send(_ command: ServingCommand, to text: String) async throws -> (RESPValue, milliseconds: Double) {
    guard let address = ServerAddress(text) else { preconditionFailure("\(text) was an address before") }
    var client = RESPClientConfiguration.standard(host: address.host, port: address.port, password: password)
    client.connectTimeoutMs = Self.timeoutMs
    client.replyTimeoutMs = Self.timeoutMs
    let connection = try await RESPConnection.connect(client, on: group)
    do {
      let startedAt = Instant.now()
      let reply = try await connection.send { command.encode(into: &$0) }
      let milliseconds = Instant.now().milliseconds(since: startedAt)
      await connection.close()
      return (reply, milliseconds)
    } catch {
      await connection.close()
      throw error
    }
  }
}
