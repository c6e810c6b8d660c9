import FreshetHTTP
import FreshetModel
import NIOCore

/// JSON bodies of requests.
enum RequestJSON {
  private static let maximumBytes = 32 << 20
  private static let maximumDepth = 8

  /// Parses a body and hands its root on, which is valid only meanwhile.
  /// - Throws: 400 for what is no JSON, 413 for what is too large or too deep, and what `decode` throws.
  static func read<Value>(
    _ body: ByteBuffer, _ decode: (JSONValue) throws(HTTPFailure) -> Value
  ) throws(HTTPFailure) -> Value {
    guard body.readableBytes > 0 else { throw HTTPFailure(.badRequest, "the body is empty; it must be a JSON object") }
    let reader = JSONRecordReader(maxBytes: maximumBytes, maxDepth: maximumDepth)
    let result = body.withUnsafeReadableBytes { bytes in
      withExtendedLifetime(reader) {
        Result { () throws(HTTPFailure) in
          let root: JSONValue
          do throws(JSONError) {
            root = try reader.parse(bytes)
          } catch {
            throw HTTPFailure(error.kind == .oversized ? .tooBig : .badRequest, error.message)
          }
          guard root.kind == .object else {
            throw HTTPFailure(.badRequest, "the body must be a JSON object, not \(root.excerpt)")
          }
          return try decode(root)
        }
      }
    }
    return try result.get()
  }

  /// The members of an object by name.
  /// - Throws: 400 for a member that is not in `known`, or is there twice.
  static func members(
    of object: JSONValue, _ what: String, known: [String]
  ) throws(HTTPFailure) -> [String: JSONValue] {
    guard object.kind == .object else {
      throw HTTPFailure(.badRequest, "\(what) must be an object, not \(object.excerpt)")
    }
    var members: [String: JSONValue] = [:]
    for member in object.children {
      let name = member.memberName
      guard known.contains(name) else {
        throw HTTPFailure(
          .badRequest,
          "\(what) has an unknown member `\(HTTPFailure.short(name))`; known are \(known.joined(separator: ", "))")
      }
      guard members.updateValue(member, forKey: name) == nil else {
        throw HTTPFailure(.badRequest, "\(what) has the member `\(name)` twice")
      }
    }
    return members
  }
}

extension JSONValue {
  var memberName: String { String(decoding: name, as: UTF8.self) }

  /// What a list of one value holds, and else the value itself.
  var unwrapped: JSONValue {
    guard kind == .array, childCount == 1, let only = children.first(where: { _ in true }) else { return self }
    return only
  }
}

extension JSONWriter {
  /// A value of a parsed document, with all that is in it.
  mutating func write(_ value: JSONValue) {
    switch value.kind {
    case .null: writeNull()
    case .bool: write(value.bool)
    case .int64: write(value.int64)
    case .uint64: write(value.uint64)
    case .double: write(value.double)
    case .string: write(text: value.text)
    case .array:
      beginArray()
      for element in value.children { write(element) }
      endArray()
    case .object:
      beginObject()
      for member in value.children {
        key(member.memberName)
        write(member)
      }
      endObject()
    }
  }
}
