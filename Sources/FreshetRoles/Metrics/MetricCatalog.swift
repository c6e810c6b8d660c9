/// Every value that `INFO` prints, and what it is for Prometheus: the one place where metrics have their names, types, units
/// and help. `docs/metrics.md` is made from it.
struct MetricCatalog: Sendable {
  struct Role: Sendable {
    let name: String
    let metrics: [MetricDescription]
  }

  private struct Place: Hashable {
    let section: String
    let key: String
  }

  /// What more than one role has.
  let common: [MetricDescription]
  let roles: [Role]
  private let byRole: [String: [Place: MetricDescription]]
  private let byPlace: [Place: MetricDescription]

  init(common: [MetricDescription], roles: [Role]) {
    func index(_ metrics: [MetricDescription]) -> [Place: MetricDescription] {
      Dictionary(metrics.map { (Place(section: $0.section, key: $0.key), $0) }) { first, second in
        preconditionFailure("\(first.section).\(first.key) is there twice")
      }
    }
    self.common = common
    self.roles = roles
    byPlace = index(common)
    byRole = Dictionary(uniqueKeysWithValues: roles.map { ($0.name, index($0.metrics)) })
  }

  func description(role: String, section: String, key: String) -> MetricDescription? {
    let place = Place(section: section, key: key)
    return byRole[role]?[place] ?? byPlace[place]
  }

  /// Of Freshet. A role of its own or a section that is new has its place here.
  static let freshet = MetricCatalog(
    common: common,
    roles: [
      Role(name: "ps", metrics: parameterServer), Role(name: "trainer", metrics: trainer),
      Role(name: "joiner", metrics: joiner), Role(name: "serve", metrics: serve),
      Role(name: "archive", metrics: archive), Role(name: "gateway", metrics: gateway),
      Role(name: "dashboard", metrics: dashboard),
    ])
}
