import FreshetCore
import FreshetModel
import FreshetNet
import FreshetWire

/// Asks a replica for the scores of users that it has never heard of, again and again, until they move.
///
/// Every request scores two users without a row beside each other: the probe, whose action is under way, and one that never
/// acts. What else is learned meanwhile changes both alike, so the difference of the two moves when the probe's action has
/// arrived, and only then.
struct ProbeClient {
  struct Probe {
    let user: Int
    let item: Int
    /// The difference before the action was written.
    var baseline: Double
  }

  /// Initial rows of two users differ by less; one step of an optimizer moves a score by more.
  static let threshold = 0.005

  private let connection: RESPConnection
  private let model: ModelSpec
  private let control: Int

  /// - Parameter control: A user that never acts.
  init(connection: RESPConnection, model: ModelSpec, control: Int) {
    self.connection = connection
    self.model = model
    self.control = control
  }

  /// How much higher the probe's score is than that of the user who never acts.
  func difference(user: Int, item: Int) async throws -> Double {
    let userField = model.fields[model.userKey]
    let itemField = model.fields[model.itemKey]
    let reply = try await connection.command([
      "SCORE", model.name, "\(itemField.name)=\(EventRecords.text(itemField, item))", "CANDIDATES", userField.name,
      EventRecords.text(userField, user), EventRecords.text(userField, control),
    ])
    let scores = reply.elements?.compactMap(\.double) ?? []
    guard scores.count == 2 else { throw WireError(.err, "the replica answered two candidates with \(reply)") }
    return scores[0] - scores[1]
  }

  /// The numbers of `INFO freshness`.
  func freshness() async throws -> [String: Double] {
    let reply = try await connection.command(["INFO", "freshness"])
    var values: [String: Double] = [:]
    for line in (reply.text ?? "").split(whereSeparator: \.isNewline) {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.count == 2, let value = Double(parts[1]) { values[String(parts[0])] = value }
    }
    return values
  }
}
