/// A process whose state the dashboard asks for.
public struct MonitoredProcess: Hashable, Sendable {
  public enum Role: String, Sendable, CaseIterable {
    case joiner, trainer, ps, serve, archive
  }

  public let role: Role
  /// Among those of its role, from 0.
  public let number: Int
  /// `host:port` of its RESP port.
  public let address: String

  public init(role: Role, number: Int, address: String) {
    self.role = role
    self.number = number
    self.address = address
  }

  public var id: String { "\(role.rawValue)-\(number)" }
}

/// What the configuration says of the cluster that is shown.
public struct ClusterDescription: Sendable {
  public struct Topics: Sendable {
    public var features: String
    public var actions: String
    public var items: String
    public var examples: String
    public var deadLetter: String

    public init(features: String, actions: String, items: String, examples: String, deadLetter: String) {
      self.features = features
      self.actions = actions
      self.items = items
      self.examples = examples
      self.deadLetter = deadLetter
    }

    /// By what they are for, in the order of the data's way.
    public var all: [(purpose: String, name: String)] {
      [
        ("features", features), ("actions", actions), ("items", items), ("examples", examples),
        ("dead_letter", deadLetter),
      ]
    }
  }

  public var version: String
  public var model: String
  public var modelVersion: Int
  /// Names of the fields that a request for scores begins with.
  public var userKey: String
  public var itemKey: String
  public var tasks: [String]
  public var topics: Topics
  /// Positions in it are how events name processes.
  public var processes: [MonitoredProcess]
  /// From one question to the next, to each process.
  public var intervalMs: Int

  public init(
    version: String, model: String, modelVersion: Int, userKey: String, itemKey: String, tasks: [String],
    topics: Topics, processes: [MonitoredProcess], intervalMs: Int
  ) {
    self.version = version
    self.model = model
    self.modelVersion = modelVersion
    self.userKey = userKey
    self.itemKey = itemKey
    self.tasks = tasks
    self.topics = topics
    self.processes = processes
    self.intervalMs = intervalMs
  }
}
