/// The section `dashboard`: a page that shows what the cluster does.
public struct DashboardSettings: Sendable {
  /// Where it listens; port 0 opens none, and `freshet up` runs no dashboard. Default: 127.0.0.1:8600.
  public var host: String
  public var port: Int
  /// From one question to the next, to each process. Default: 1000.
  public var intervalMs: Int
  /// The member of records in `items` that people know an item by. Default: title.
  public var titleField: String
  /// Titles kept in memory, at most. Default: 200,000.
  public var titles: Int
  /// Status ports of the processes to ask; nil for the one at the role's own host and port. Default: nil.
  public var joiners: [ServerAddress]?
  public var trainers: [ServerAddress]?
  public var replicas: [ServerAddress]?
  public var archives: [ServerAddress]?
}

extension DashboardSettings {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    host = try section.string("host", default: "127.0.0.1")
    port = try section.int("port", default: 8600, in: 0...65_535)
    intervalMs = try section.int("interval_ms", default: 1_000, in: 250...5_000)
    titleField = try section.string("title_field", default: "title")
    titles = try section.int("titles", default: 200_000, in: 0...10_000_000)
    joiners = try Self.addresses("joiners", section)
    trainers = try Self.addresses("trainers", section)
    replicas = try Self.addresses("replicas", section)
    archives = try Self.addresses("archives", section)
    try section.finish()
  }

  private static func addresses(_ key: String, _ section: YAMLSection) throws(ConfigurationError) -> [ServerAddress]? {
    guard let texts = try section.optionalStrings(key) else { return nil }
    var addresses: [ServerAddress] = []
    for text in texts {
      guard let address = ServerAddress(text) else { throw section.error(key, "`\(text)` is not host:port") }
      addresses.append(address)
    }
    return addresses
  }
}
