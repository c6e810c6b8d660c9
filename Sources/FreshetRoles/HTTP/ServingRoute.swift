import FreshetHTTP

/// What a path of the serving port asks for.
enum ServingRoute: Equatable {
  case openAPI
  /// Open Inference Protocol v2.
  case serverMetadata
  case serverLive
  case serverReady
  case modelMetadata(String)
  case modelReady(String)
  case infer(String)
  /// TensorFlow Serving.
  case modelStatus(String)
  case predict(String)
  case recommend(String)

  private static let predictVerb = ":predict"

  /// - Parameters:
  ///   - segments: Of the path, decoded.
  ///   - version: Of the model that answers, the only one that may be asked for.
  /// - Throws: 404 that says where the paths are listed.
  init(_ segments: [String], version: Int) throws(HTTPFailure) {
    // A slash at the end means nothing.
    let path = segments.count > 1 && segments.last == "" ? Array(segments.dropLast()) : segments
    switch (path.first, path.dropFirst().first, path.dropFirst(2)) {
    case ("openapi.json", nil, _): self = .openAPI
    case ("v2", nil, _): self = .serverMetadata
    case ("v2", "health", ["live"]): self = .serverLive
    case ("v2", "health", ["ready"]): self = .serverReady
    case ("v2", "models", let rest) where !rest.isEmpty: self = try Self.openInference(Array(rest), version)
    case ("v1", "models", let rest) where !rest.isEmpty: self = try Self.tensorFlow(Array(rest), version)
    case ("v1", "recommend", let rest) where rest.count == 1: self = .recommend(rest[rest.startIndex])
    default: throw Self.unknown
    }
  }

  private static var unknown: HTTPFailure { HTTPFailure(.notFound, "no such path; /openapi.json lists them") }

  /// `{model}[/versions/{version}][/ready|/infer]`
  private static func openInference(_ path: [String], _ version: Int) throws(HTTPFailure) -> ServingRoute {
    let model = path[0]
    var rest = path.dropFirst()
    if rest.first == "versions" {
      try check(rest.dropFirst().first, version)
      rest = rest.dropFirst(2)
    }
    switch Array(rest) {
    case []: return .modelMetadata(model)
    case ["ready"]: return .modelReady(model)
    case ["infer"]: return .infer(model)
    default: throw unknown
    }
  }

  /// `{model}[/versions/{version}][:predict]`
  private static func tensorFlow(_ path: [String], _ version: Int) throws(HTTPFailure) -> ServingRoute {
    var path = path
    let isPredict = path[path.count - 1].hasSuffix(predictVerb)
    if isPredict { path[path.count - 1].removeLast(predictVerb.count) }
    switch path.count {
    case 1: break
    case 3 where path[1] == "versions": try check(path[2], version)
    default: throw unknown
    }
    return isPredict ? .predict(path[0]) : .modelStatus(path[0])
  }

  private static func check(_ asked: String?, _ version: Int) throws(HTTPFailure) {
    guard asked == "\(version)" else { throw otherVersion(version) }
  }

  static func otherVersion(_ version: Int) -> HTTPFailure {
    HTTPFailure(.notFound, "the model's version is \(version), and it has no other; /versions/… may be left out")
  }

  /// Whether a path says which version is to answer.
  static func namesVersion(_ segments: [String]) -> Bool {
    segments.count > 3 && segments[1] == "models" && segments[3] == "versions"
  }
}
