import FreshetDashboard

extension ClusterDescription {
  init(_ configuration: FreshetConfiguration) {
    let topics = configuration.kafka.topics
    let model = configuration.model
    self.init(
      version: FreshetVersion.current, model: model.name, modelVersion: model.version,
      userKey: model.fields[model.userKey].name, itemKey: model.fields[model.itemKey].name,
      tasks: model.tasks.map(\.name),
      topics: Topics(
        features: topics.features, actions: topics.actions, items: topics.items, examples: topics.examples,
        deadLetter: topics.deadLetter),
      processes: configuration.monitored.flatMap { role, addresses in
        addresses.enumerated().map { MonitoredProcess(role: role, number: $0, address: $1.description) }
      },
      intervalMs: configuration.dashboard.intervalMs)
  }
}

extension FreshetConfiguration {
  /// Whom the dashboard asks, in the order of the data's way.
  var monitored: [(role: MonitoredProcess.Role, addresses: [ServerAddress])] {
    let settings = dashboard
    return [
      (.joiner, settings.joiners ?? Self.local(joiner.host, joiner.port)),
      (.trainer, settings.trainers ?? Self.local(trainer.host, trainer.port)),
      (.ps, cluster.servers),
      (.serve, settings.replicas ?? Self.local(serving.host, serving.port)),
      (.archive, settings.archives ?? (archive.store == nil ? [] : Self.local(archive.host, archive.port))),
    ]
  }

  /// The one process of a role that is configured; none without a port.
  private static func local(_ host: String, _ port: Int) -> [ServerAddress] {
    ServerAddress("\(reachable(host)):\(port)").map { [$0] } ?? []
  }

  /// A host to connect to: what listens on every interface is reached on this machine.
  static func reachable(_ host: String) -> String { ["0.0.0.0", "::", ""].contains(host) ? "127.0.0.1" : host }
}

extension FreshetConfiguration {
  /// What `freshet up` tells the dashboard of the children that it starts, as `--set` options. A list of the configuration stands.
  public func dashboardOverrides(trainers: Int, replicas: Int) -> [String] {
    func addresses(_ host: String, _ port: Int, _ count: Int) -> String {
      (0..<(port == 0 ? 0 : count)).map { "\(Self.reachable(host)):\(port + $0)" }.joined(separator: ",")
    }
    var overrides: [String] = []
    if dashboard.trainers == nil {
      overrides.append("dashboard.trainers=" + addresses(trainer.host, trainer.port, trainers))
    }
    if dashboard.replicas == nil {
      overrides.append("dashboard.replicas=" + addresses(serving.host, serving.port, replicas))
    }
    return overrides.flatMap { ["--set", $0] }
  }
}
