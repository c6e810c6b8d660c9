import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore
import NIOPosix

/// Asks a process for its state, once or again and again, over a connection that comes back by itself.
actor ProcessProbe {
  struct Answer: Sendable {
    /// What its `INFO` says, and that as key → value.
    let text: String
    let info: [String: String]
    /// Of a parameter server, if it was wanted.
    fileprivate(set) var validation: ValidationReport?
    /// Why there is none: a server that restores its shards has none yet.
    fileprivate(set) var validationFailure: String?
  }

  private static let connectTimeoutMs = 2_000

  private let client: RESPClientConfiguration
  private let wantsValidation: Bool
  private let group: any EventLoopGroup
  private var connection: RESPConnection?

  /// - Parameter replyTimeoutMs: A process that says nothing for so long is given up.
  init(
    _ address: ServerAddress, password: String?, wantsValidation: Bool, replyTimeoutMs: Int,
    on group: any EventLoopGroup
  ) {
    var client = RESPClientConfiguration.standard(host: address.host, port: address.port, password: password)
    client.connectTimeoutMs = Self.connectTimeoutMs
    client.replyTimeoutMs = replyTimeoutMs
    self.client = client
    self.wantsValidation = wantsValidation
    self.group = group
  }

  /// One question at a time.
  /// - Throws: `NetError` or `WireError`: the process cannot be reached, or does not answer.
  func ask() async throws -> Answer {
    let isKept = connection != nil
    do {
      return try await askOnce()
    } catch let error as WireError where isKept && error.kind == .connection {
      // That of a process that has ended; another one may be there by now.
      return try await askOnce()
    }
  }

  private func askOnce() async throws -> Answer {
    do {
      let connection = try await connected()
      let text = try await connection.command(["INFO"]).text ?? ""
      var answer = Answer(text: text, info: ClusterStatus.parse(info: text))
      if wantsValidation { await addValidation(to: &answer, connection) }
      return answer
    } catch {
      await close()
      throw error
    }
  }

  func close() async {
    let connection = connection
    self.connection = nil
    await connection?.close()
  }

  private func connected() async throws -> RESPConnection {
    if let connection { return connection }
    let connection = try await RESPConnection.connect(client, on: group)
    self.connection = connection
    return connection
  }

  private func addValidation(to answer: inout Answer, _ connection: RESPConnection) async {
    do {
      guard let blob = try await connection.command(["METRICS"]).buffer else { return }
      answer.validation = try blob.withUnsafeReadableBytes { try ValidationReport(decoding: $0) }
    } catch {
      answer.validationFailure = "\(error)"
      if (error as? WireError)?.isConnectionFailure ?? false { await close() }
    }
  }

  /// Whether a failure only says that there was no answer in time.
  static func isLate(_ error: any Error) -> Bool {
    switch error {
    case let error as WireError: error.kind == .timeout
    case let error as NetError: error.cause.map { isLate($0) } ?? false
    case let error as NIOConnectionError: error.connectionErrors.contains { isLate($0.error) }
    case ChannelError.connectTimeout: true
    default: false
    }
  }
}
