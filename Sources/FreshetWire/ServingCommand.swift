import FreshetCore
import NIOCore

/// One `field=value` word of a request. A field may occur several times: its values in order.
public struct RequestField: Hashable, Sendable {
  public let name: String
  public let value: String
  public init(name: String, value: String) {
    self.name = name
    self.value = value
  }
}

/// The values of one field to score against the same context.
public struct RequestCandidates: Hashable, Sendable {
  public let field: String
  public let values: [String]
  public init(field: String, values: [String]) {
    self.field = field
    self.values = values
  }
}

/// The commands of a serving replica's port.
public enum ServingCommand: Hashable, Sendable {
  case score(model: String, fields: [RequestField], candidates: RequestCandidates?)
  /// The JSON text, not looked into.
  case scoreJSON(model: String, ByteBuffer)
  case recommend(model: String, fields: [RequestField], topK: Int, exclude: [String])
  case models
  case row(table: String, fid: Fid)
  /// Sums over the rows of each shard's copy.
  case checksum
  case info(section: String?)
}

/// Bounds of one serving request.
public struct ServingLimits: Sendable, Equatable {
  /// Candidates of a SCORE and exclusions of a RECOMMEND. Default 10,000.
  public var maxCandidates: Int
  public init(maxCandidates: Int) { self.maxCandidates = maxCandidates }

  public static let standard = ServingLimits(maxCandidates: 10_000)
  public static let maxTopK = 10_000
}

extension ServingCommand {
  static let scoreDescription = CommandDescription(
    name: "SCORE", arity: -2, syntax: "SCORE model [field=value …] [CANDIDATES field value …]",
    summary: "Score one context, or each candidate in it")
  static let scoreJSONDescription = CommandDescription(
    name: "SCOREJSON", arity: 3, syntax: "SCOREJSON model {\"context\":{…},\"candidates\":[{…},…]}",
    summary: "Score a context and candidates given as JSON")
  static let recommendDescription = CommandDescription(
    name: "RECOMMEND", arity: -4, syntax: "RECOMMEND model [field=value …] TOPK k [EXCLUDE value …]",
    summary: "The best items of the catalog, best first")
  static let modelsDescription = CommandDescription(
    name: "MODELS", arity: 1, syntax: "MODELS", summary: "Models and the age of what they serve")

  static let checksumDescription = CommandDescription(
    name: "CHECKSUM", arity: 1, syntax: "CHECKSUM",
    summary: "For each shard number, generation, sequence, rows and a sum over them that its server has as well")

  /// What a replica knows beyond the commands that every port has.
  public static let descriptions = [
    scoreDescription, scoreJSONDescription, recommendDescription, modelsDescription,
    ParameterServerCommand.rowDescription, checksumDescription, ParameterServerCommand.infoDescription,
  ]

  /// - Throws: `ERR` that names what is wrong and the syntax; `TOOBIG` beyond a limit.
  public init(_ request: RESPRequest, limits: ServingLimits) throws(WireError) {
    switch request.name {
    case "SCORE":
      self = try Self.score(request, limits)
    case "RECOMMEND":
      self = try Self.recommend(request, limits)
    case "SCOREJSON":
      try Self.scoreJSONDescription.checkArity(request)
      self = .scoreJSON(model: try request.requireText(at: 1, "model"), request[2])
    case "MODELS":
      try Self.modelsDescription.checkArity(request)
      self = .models
    case "ROW":
      let description = ParameterServerCommand.rowDescription
      try description.checkArity(request)
      self = .row(table: try request.requireText(at: 1, "table"), fid: try request.fid(at: 2, description))
    case "CHECKSUM":
      try Self.checksumDescription.checkArity(request)
      self = .checksum
    case "INFO":
      self = .info(section: try request.infoSection(ParameterServerCommand.infoDescription))
    default:
      throw request.unknownCommand
    }
  }

  private static func score(_ request: RESPRequest, _ limits: ServingLimits) throws(WireError) -> ServingCommand {
    try scoreDescription.checkArity(request)
    let model = try request.requireText(at: 1, "model")
    let (fields, keyword) = try fields(request, until: "CANDIDATES", scoreDescription)
    guard keyword < request.count else { return .score(model: model, fields: fields, candidates: nil) }
    guard keyword + 2 < request.count else {
      throw WireError(
        .err, "CANDIDATES needs a field and at least one value; expected: \(scoreDescription.syntax)")
    }
    let field = try request.requireText(at: keyword + 1, "candidate field")
    let values = try values(request, from: keyword + 2, "candidate", limits)
    return .score(model: model, fields: fields, candidates: RequestCandidates(field: field, values: values))
  }

  private static func recommend(_ request: RESPRequest, _ limits: ServingLimits) throws(WireError) -> ServingCommand {
    try recommendDescription.checkArity(request)
    let model = try request.requireText(at: 1, "model")
    let (fields, keyword) = try fields(request, until: "TOPK", recommendDescription)
    guard keyword + 1 < request.count else {
      throw WireError(.err, "TOPK and its number are missing; expected: \(recommendDescription.syntax)")
    }
    let topK = try request.integer(at: keyword + 1, "TOPK", in: 1...ServingLimits.maxTopK, recommendDescription)
    var exclude: [String] = []
    if keyword + 2 < request.count {
      guard request.isKeyword("EXCLUDE", at: keyword + 2) else {
        throw WireError(
          .err,
          "expected EXCLUDE, not '\(request.quoted(at: keyword + 2))'; expected: \(recommendDescription.syntax)")
      }
      exclude = try values(request, from: keyword + 3, "excluded value", limits)
    }
    return .recommend(model: model, fields: fields, topK: topK, exclude: exclude)
  }

  /// The fields from the third word on, and the position of the keyword behind them, or of the request's end.
  private static func fields(
    _ request: RESPRequest, until keyword: CommandName, _ description: CommandDescription
  ) throws(WireError) -> ([RequestField], Int) {
    var fields: [RequestField] = []
    for index in 2..<request.count {
      if request.isKeyword(keyword, at: index) { return (fields, index) }
      let word = try request.requireText(at: index, "field")
      guard let equals = word.utf8.firstIndex(of: UInt8(ascii: "=")), equals != word.startIndex else {
        throw WireError(
          .err, "'\(request.quoted(at: index))' is not field=value; expected: \(description.syntax)")
      }
      fields.append(RequestField(name: String(word[..<equals]), value: String(word[word.utf8.index(after: equals)...])))
    }
    return (fields, request.count)
  }

  private static func values(
    _ request: RESPRequest, from start: Int, _ what: String, _ limits: ServingLimits
  ) throws(WireError) -> [String] {
    let count = request.count - start
    guard count <= limits.maxCandidates else {
      throw WireError(.tooBig, "\(count) \(what)s in one request; the limit is \(limits.maxCandidates)")
    }
    var values: [String] = []
    values.reserveCapacity(count)
    for index in start..<request.count { values.append(try request.requireText(at: index, what)) }
    return values
  }

  /// Appends the request that `init(_:limits:)` reads as this command.
  public func encode(into encoder: inout RESPEncoder) {
    switch self {
    case .score(let model, let fields, let candidates):
      encoder.writeCommand("SCORE", argumentCount: 1 + fields.count + (candidates.map { 2 + $0.values.count } ?? 0))
      Self.encode(model, fields, into: &encoder)
      if let candidates {
        encoder.writeBulk("CANDIDATES")
        encoder.writeBulk(candidates.field)
        for value in candidates.values { encoder.writeBulk(value) }
      }
    case .scoreJSON(let model, let json):
      encoder.writeCommand("SCOREJSON", argumentCount: 2)
      encoder.writeBulk(model)
      encoder.writeBulk(json)
    case .recommend(let model, let fields, let topK, let exclude):
      let excludeWords = exclude.isEmpty ? 0 : 1 + exclude.count
      encoder.writeCommand("RECOMMEND", argumentCount: 3 + fields.count + excludeWords)
      Self.encode(model, fields, into: &encoder)
      encoder.writeBulk("TOPK")
      encoder.writeBulk(decimal: topK)
      if !exclude.isEmpty { encoder.writeBulk("EXCLUDE") }
      for value in exclude { encoder.writeBulk(value) }
    case .models:
      encoder.writeCommand("MODELS", argumentCount: 0)
    case .row(let table, let fid):
      ParameterServerCommand.row(table: table, fid: fid).encode(into: &encoder)
    case .checksum:
      encoder.writeCommand("CHECKSUM", argumentCount: 0)
    case .info(let section):
      encoder.writeInfo(section: section)
    }
  }

  private static func encode(_ model: String, _ fields: [RequestField], into encoder: inout RESPEncoder) {
    encoder.writeBulk(model)
    for field in fields { encoder.writeBulk("\(field.name)=\(field.value)") }
  }
}
