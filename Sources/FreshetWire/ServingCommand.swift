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
  /// - Parameters:
  ///   - filters: Values that fields of an item may have; fields must all agree, of one field's values one.
  case recommend(model: String, fields: [RequestField], topK: Int, filters: [RequestField], exclude: [String])
  case models
  case row(table: String, fid: Fid)
  /// Sums over the rows of each shard's copy.
  case checksum
  case info(section: String?)
  case promote(PromotionCommand)
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
  public static let scoreJSONDescription = CommandDescription(
    name: "SCOREJSON", arity: 3, syntax: "SCOREJSON model {\"context\":{…},\"candidates\":[{…},…]}",
    summary: "Score a context and candidates given as JSON")
  static let recommendDescription = CommandDescription(
    name: "RECOMMEND", arity: -4,
    syntax: "RECOMMEND model [field=value …] TOPK k [WHERE field=value …] [EXCLUDE value …]",
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
    PromotionCommand.description,
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
    case "PROMOTE":
      self = .promote(try PromotionCommand(request))
    default:
      throw request.unknownCommand
    }
  }

  private static func score(_ request: RESPRequest, _ limits: ServingLimits) throws(WireError) -> ServingCommand {
    let words = try ScoreWords(request, limits: limits)
    let candidates = words.candidateField.map { field in
      RequestCandidates(field: text(request, field), values: words.candidates.map { text(request, $0) })
    }
    return .score(model: text(request, 1), fields: words.fields.map { field(request, $0) }, candidates: candidates)
  }

  private static func recommend(_ request: RESPRequest, _ limits: ServingLimits) throws(WireError) -> ServingCommand {
    let description = recommendDescription
    try description.checkArity(request)
    let model = try request.requireText(at: 1, "model")
    let keyword = try request.withArguments { (arguments) throws(WireError) in
      try ScoreWords.fieldsEnd(arguments, request, until: "TOPK", description)
    }
    guard keyword + 1 < request.count else {
      throw WireError(.err, "TOPK and its number are missing; expected: \(description.syntax)")
    }
    let topK = try request.integer(at: keyword + 1, "TOPK", in: 1...ServingLimits.maxTopK, description)
    var next = keyword + 2
    var filters: [RequestField] = []
    if next < request.count, request.isKeyword("WHERE", at: next) {
      (filters, next) = try self.filters(request, from: next + 1, limits)
    }
    var exclude: [String] = []
    if next < request.count {
      guard request.isKeyword("EXCLUDE", at: next) else {
        throw WireError(
          .err,
          "expected \(filters.isEmpty ? "WHERE or " : "")EXCLUDE, not '\(request.quoted(at: next))'; "
            + "expected: \(description.syntax)")
      }
      try request.withArguments { (arguments) throws(WireError) in
        try ScoreWords.checkValues(arguments, next + 1..<request.count, "excluded value", limits)
      }
      exclude = (next + 1..<request.count).map { text(request, $0) }
    }
    return .recommend(
      model: model, fields: (2..<keyword).map { field(request, $0) }, topK: topK, filters: filters, exclude: exclude)
  }

  /// The conditions from a word on, and the position of the word behind them.
  private static func filters(
    _ request: RESPRequest, from start: Int, _ limits: ServingLimits
  ) throws(WireError) -> ([RequestField], Int) {
    try request.withArguments { (arguments) throws(WireError) in
      var end = start
      while end < arguments.count, arguments[end].contains(UInt8(ascii: "=")) { end += 1 }
      guard end > start else {
        throw WireError(.err, "WHERE needs at least one field=value; expected: \(recommendDescription.syntax)")
      }
      guard end - start <= limits.maxCandidates else {
        throw WireError(.tooBig, "\(end - start) conditions in one request; the limit is \(limits.maxCandidates)")
      }
      for index in start..<end { try ScoreWords.requireText(arguments, index, "condition") }
      return ((start..<end).map { field(request, $0) }, end)
    }
  }

  /// A word that is UTF-8.
  private static func text(_ request: RESPRequest, _ index: Int) -> String {
    request.withBytes(at: index) { String(decoding: $0, as: UTF8.self) }
  }

  /// A word that is `field=value`.
  private static func field(_ request: RESPRequest, _ index: Int) -> RequestField {
    request.withBytes(at: index) { word in
      let equals = word.firstIndex(of: UInt8(ascii: "="))!
      return RequestField(
        name: String(decoding: word[..<equals], as: UTF8.self),
        value: String(decoding: word[(equals + 1)...], as: UTF8.self))
    }
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
    case .recommend(let model, let fields, let topK, let filters, let exclude):
      let excludeWords = exclude.isEmpty ? 0 : 1 + exclude.count
      let filterWords = filters.isEmpty ? 0 : 1 + filters.count
      encoder.writeCommand("RECOMMEND", argumentCount: 3 + fields.count + filterWords + excludeWords)
      Self.encode(model, fields, into: &encoder)
      encoder.writeBulk("TOPK")
      encoder.writeBulk(decimal: topK)
      if !filters.isEmpty { encoder.writeBulk("WHERE") }
      for filter in filters { encoder.writeBulk("\(filter.name)=\(filter.value)") }
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
    case .promote(let command):
      command.encode(into: &encoder)
    }
  }

  private static func encode(_ model: String, _ fields: [RequestField], into encoder: inout RESPEncoder) {
    encoder.writeBulk(model)
    for field in fields { encoder.writeBulk("\(field.name)=\(field.value)") }
  }
}
