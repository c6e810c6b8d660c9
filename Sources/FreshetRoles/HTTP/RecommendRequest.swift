import FreshetHTTP
import FreshetModel
import FreshetWire

/// What `/v1/recommend/{model}` is asked.
struct RecommendRequest: Equatable {
  static let defaultTopK = 10
  private static let filterPrefix = "where."

  var fields: [RequestField] = []
  var topK = defaultTopK
  /// Values that fields of an item may have: of one field one of them, of several fields each.
  var filters: [RequestField] = []
  var exclude: [String] = []

  /// `{"context":{field:value,…},"topk":10,"where":{field:value,…},"exclude":[id,…]}`, all of which may be left out.
  init(_ root: JSONValue, _ limits: ServingLimits) throws(HTTPFailure) {
    let members = try RequestJSON.members(of: root, "the request", known: ["context", "topk", "where", "exclude"])
    fields = try Self.fields(members["context"], "context")
    filters = try Self.fields(members["where"], "where")
    if let value = members["topk"] {
      guard value.kind == .int64, let topK = Int(exactly: value.int64) else {
        throw HTTPFailure(.badRequest, "`topk` must be an integer, not \(value.excerpt)")
      }
      self.topK = topK
    }
    if let list = members["exclude"], list.kind != .null {
      guard list.kind == .array else {
        throw HTTPFailure(.badRequest, "`exclude` must be a list of ids, not \(list.excerpt)")
      }
      for element in list.children { exclude.append(try Self.text(of: element, "an id of `exclude`")) }
    }
    try check(limits)
  }

  /// `?user_id=1&topk=10&where.genres=Comedy&exclude=1193&exclude=661`: every other parameter is a field.
  init(query: [(name: String, value: String)], _ limits: ServingLimits) throws(HTTPFailure) {
    for (name, value) in query {
      switch name {
      case "topk":
        guard let topK = Int(value) else {
          throw HTTPFailure(.badRequest, "`topk` must be an integer, not `\(HTTPFailure.short(value))`")
        }
        self.topK = topK
      case "exclude": exclude.append(value)
      case _ where name.hasPrefix(Self.filterPrefix):
        filters.append(RequestField(name: String(name.dropFirst(Self.filterPrefix.count)), value: value))
      default: fields.append(RequestField(name: name, value: value))
      }
    }
    try check(limits)
  }

  private static func fields(_ object: JSONValue?, _ what: String) throws(HTTPFailure) -> [RequestField] {
    guard let object, object.kind != .null else { return [] }
    guard object.kind == .object else {
      throw HTTPFailure(.badRequest, "`\(what)` must be an object of fields, not \(object.excerpt)")
    }
    var fields: [RequestField] = []
    for member in object.children { try add(member, to: &fields) }
    return fields
  }

  private static func add(_ member: JSONValue, to fields: inout [RequestField]) throws(HTTPFailure) {
    let name = member.memberName
    let what = "field `\(HTTPFailure.short(name))`"
    switch member.kind {
    case .null: return
    case .array:
      for element in member.children where element.kind != .null {
        fields.append(RequestField(name: name, value: try text(of: element, what)))
      }
    default: fields.append(RequestField(name: name, value: try text(of: member, what)))
    }
  }

  private func check(_ limits: ServingLimits) throws(HTTPFailure) {
    guard (1...ServingLimits.maxTopK).contains(topK) else {
      throw HTTPFailure(.badRequest, "`topk` is \(topK); it must be in 1...\(ServingLimits.maxTopK)")
    }
    guard exclude.count <= limits.maxCandidates else {
      throw HTTPFailure(.tooBig, "\(exclude.count) excluded ids in one request; the limit is \(limits.maxCandidates)")
    }
  }

  private static func text(of value: JSONValue, _ what: String) throws(HTTPFailure) -> String {
    switch value.kind {
    case .string: return value.string ?? ""
    case .int64: return String(value.int64)
    case .uint64: return String(value.uint64)
    case .double: return CanonicalText.text(value.double)
    case .null, .bool, .array, .object:
      throw HTTPFailure(.badRequest, "\(what) must be text or a number, not \(value.excerpt)")
    }
  }

  static func reply(_ items: [(id: String, score: Double)], model: String, task: String) -> HTTPReply {
    .json { writer in
      writer.beginObject()
      writer.key("model")
      writer.write(model)
      writer.key("task")
      writer.write(task)
      writer.key("items")
      writer.beginArray()
      for (id, score) in items {
        writer.beginObject()
        writer.key("id")
        writer.write(id)
        writer.key("score")
        writer.write(score)
        writer.endObject()
      }
      writer.endArray()
      writer.endObject()
    }
  }
}
