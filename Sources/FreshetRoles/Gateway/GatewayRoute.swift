import FreshetHTTP

/// What a path of the gateway's port asks for, health and metrics aside.
enum GatewayRoute: Equatable {
  /// Paths of Confluent REST Proxy's API v2.
  enum Topics: Equatable {
    case list
    case topic(String)
    case partitions(String)
    /// - Parameter partition: As the path says it.
    case partition(String, String)
  }

  case openAPI
  case topics(Topics)
  case events(EventKind)

  /// Whether the REST Proxy's form of errors is the one to answer with.
  static func isProxy(_ first: String?) -> Bool { first == "topics" }

  /// - Parameter segments: Of the path, decoded.
  /// - Throws: 404 that says where the paths are listed.
  init(_ segments: [String]) throws(HTTPFailure) {
    // A slash at the end means nothing.
    let path = segments.count > 1 && segments.last == "" ? Array(segments.dropLast()) : segments
    switch (path.first, path.count) {
    case ("openapi.json", 1): self = .openAPI
    case ("topics", 1): self = .topics(.list)
    case ("topics", 2): self = .topics(.topic(path[1]))
    case ("topics", 3) where path[2] == "partitions": self = .topics(.partitions(path[1]))
    case ("topics", 4) where path[2] == "partitions": self = .topics(.partition(path[1], path[3]))
    case ("v1", 2):
      guard let kind = EventKind(rawValue: path[1]) else { throw Self.unknown }
      self = .events(kind)
    default: throw Self.unknown
    }
  }

  private static var unknown: HTTPFailure { HTTPFailure(.notFound, "no such path; /openapi.json lists them") }
}
