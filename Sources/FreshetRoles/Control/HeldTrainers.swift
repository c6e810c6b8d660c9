import FreshetCore
import FreshetNet
import NIOCore

/// Trainers whose guard holds training, and how they are told to go on.
public enum HeldTrainers {
  /// What came of one trainer.
  public struct Outcome: Sendable {
    public let address: String
    /// Whether training was held; nil if the trainer could not be asked.
    public let wasHeld: Bool?
    /// Why it could not.
    public let error: String?

    /// For people, one line.
    public var text: String {
      if let error { return "\(address) FAILED  \(error)" }
      return "\(address) " + (wasHeld == true ? "goes on" : "was not held")
    }
  }

  /// - Parameter trainers: Their status ports.
  public static func resume(
    _ trainers: [ServerAddress], password: String?, on group: any EventLoopGroup
  ) async -> [Outcome] {
    var outcomes: [Outcome] = []
    for address in trainers {
      do {
        let wasHeld = try await resume(address, password, on: group)
        outcomes.append(Outcome(address: "\(address)", wasHeld: wasHeld, error: nil))
      } catch {
        outcomes.append(Outcome(address: "\(address)", wasHeld: nil, error: "\(error)"))
      }
    }
    return outcomes
  }

  private static func resume(
    _ address: ServerAddress, _ password: String?, on group: any EventLoopGroup
  ) async throws -> Bool {
    var client = RESPClientConfiguration.standard(host: address.host, port: address.port, password: password)
    client.connectTimeoutMs = 2_000
    let connection = try await RESPConnection.connect(client, on: group)
    do {
      let reply = try await connection.command(["RESUME"])
      await connection.close()
      return reply.integer == 1
    } catch {
      await connection.close()
      throw error
    }
  }
}
