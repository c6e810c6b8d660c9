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

  /// A model changes many times a second and has one version, the present one.
  static let version = "1"
  private static let predictVerb = ":predict"

  /// - Parameter segments: Of the path, decoded.
  /// - Throws: 404 that says where the paths are listed.
  init(_ segments: [String]) throws(HTTPFailure) {
    // A slash at the end means nothing.
    let path = segments.count > 1 && segments.last == "" ? Array(segments.dropLast()) : segments
    switch (path.first, path.dropFirst().first, path.dropFirst(2)) {
    case ("openapi.json", nil, _): self = .openAPI
    case ("v2", nil, _): self = .serverMetadata
    case ("v2", "health", ["live"]): self = .serverLive
    case ("v2", "health", ["ready"]): self = .serverReady
    case ("v2", "models", let rest) where !rest.isEmpty: self = try Self.openInference(Array(rest))
    case ("v1", "models", let rest) where !rest.isEmpty: self = try Self.tensorFlow(Array(rest))
    case ("v1", "recommend", let rest) where rest.count == 1: self = .recommend(rest[rest.startIndex])
    default: throw Self.unknown
    }
  }

  private static var unknown: HTTPFailure { HTTPFailure(.notFound, "no such path; /openapi.json lists them") }

  /// `{model}[/versions/{version}][/ready|/infer]`
  private static func openInference(_ path: [String]) throws(HTTPFailure) -> ServingRoute {
    let model = path[0]
    var rest = path.dropFirst()
    if rest.first == "versions" {
      try check(version: rest.dropFirst().first)
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
  private static func tensorFlow(_ path: [String]) throws(HTTPFailure) -> ServingRoute {
    var path = path
    let isPredict = path[path.count - 1].hasSuffix(predictVerb)
    if isPredict { path[path.count - 1].removeLast(predictVerb.count) }
    switch path.count {
    case 1: break
    case 3 where path[1] == "versions": try check(version: path[2])
    default: throw unknown
    }
    return isPredict ? .predict(path[0]) : .modelStatus(path[0])
  }

  private static func check(version: String?) throws(HTTPFailure) {
    guard version == Self.version else {
      throw HTTPFailure(
        .notFound, "models have one version, \(Self.version), which is what they are now; /versions/… may be left out")
    }
  }
}
