import FreshetHTTP

/// The media types of Confluent REST Proxy's API v2.
enum MediaType {
  /// How keys and values stand in a request to write.
  enum Embedded: String, CaseIterable {
    case json = "application/vnd.kafka.json.v2+json"
    case binary = "application/vnd.kafka.binary.v2+json"
  }

  /// Of replies; in a request it means `binary`.
  static let plain = "application/vnd.kafka.v2+json"
  /// What replies may be called instead, by the API's own rules.
  private static let acceptable: Set<String> = [
    plain, "application/vnd.kafka+json", "application/json", "application/*", "*/*",
  ]

  /// What a request's records are.
  /// - Throws: 415 that names what is taken.
  static func embedded(_ request: HTTPRequest) throws(RestFailure) -> Embedded {
    let given = request.headers["content-type"].map(name) ?? ""
    if given == plain { return .binary }
    guard let embedded = Embedded(rawValue: given) else {
      let known = Embedded.allCases.map(\.rawValue).joined(separator: ", ")
      throw RestFailure(
        415,
        "the Content-Type \(given.isEmpty ? "is missing" : "`\(HTTPFailure.short(given))` is not taken"); send \(known)"
      )
    }
    return embedded
  }

  /// - Throws: 406 if the client takes no reply that there is.
  static func checkAccept(_ request: HTTPRequest) throws(RestFailure) {
    guard let accept = request.headers["accept"] else { return }
    let isAccepted = accept.split(separator: ",").contains { part in
      let parameters = part.split(separator: ";").dropFirst().map { $0.filter { $0 != " " } }
      return acceptable.contains(name(part))
        && !parameters.contains { ["q=0", "q=0.0", "q=0.00", "q=0.000"].contains($0) }
    }
    guard isAccepted else {
      throw RestFailure(406, "replies are \(plain), which `Accept: \(HTTPFailure.short(accept))` does not take")
    }
  }

  /// Without parameters, in lower case.
  private static func name(_ text: some StringProtocol) -> String {
    String(text.prefix { $0 != ";" }).filter { $0 != " " && $0 != "\t" }.lowercased()
  }
}
