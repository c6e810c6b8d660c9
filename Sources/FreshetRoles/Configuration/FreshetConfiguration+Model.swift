/// What a configuration says of the model and of where it is: enough for a replica to serve it, and without secrets.
extension FreshetConfiguration {
  private static func isOfModel(_ path: [String]) -> Bool {
    switch path.first {
    case "model": true
    case "cluster": path == ["cluster", "servers"] || path == ["cluster", "shards"]
    case "kafka": path.dropFirst().first == "topics"
    default: false
    }
  }

  /// As a configuration file of its own.
  var modelText: String { yaml(Self.isOfModel) }

  /// From `modelText`.
  /// - Parameter source: Where it is from, for errors.
  static func parse(modelText text: String, source: String) throws(ConfigurationError) -> FreshetConfiguration {
    try parse(text, file: source, overrides: [:], environment: [:])
  }

  /// This configuration with another one's model, parameter servers and topics. Passwords and the broker stay.
  func serving(_ other: FreshetConfiguration) -> FreshetConfiguration {
    var configuration = self
    configuration.model = other.model
    configuration.cluster.servers = other.cluster.servers
    configuration.cluster.shards = other.cluster.shards
    configuration.kafka.topics = other.kafka.topics
    configuration.effective =
      effective.filter { !Self.isOfModel($0.path) } + other.effective.filter { Self.isOfModel($0.path) }
    return configuration
  }

  /// Whether both serve one model: the same rows under the same version.
  func isSameModel(as other: FreshetConfiguration) -> Bool {
    model.version == other.model.version && cluster.servers == other.cluster.servers
  }

  /// The model and where it is, for messages: `movielens version 2 of 127.0.0.1:7100,127.0.0.1:7101`.
  var modelDescription: String {
    "\(model.name) version \(model.version) of \(cluster.servers.map(\.description).joined(separator: ","))"
  }
}
