import CSimdJSON
import FreshetCore

/// Why a document cannot be read.
public struct JSONError: DescribedError, Equatable {
  public enum Kind: String, Sendable {
    case malformed = "malformed-json"
    /// Larger or nested deeper than the reader's limits.
    case oversized = "oversized"
  }

  public let kind: Kind
  public let message: String
  public var code: String { kind.rawValue }

  public init(kind: Kind, message: String) {
    self.kind = kind
    self.message = message
  }
}

/// Parses one JSON document at a time into values that are read in place.
///
/// A value is valid until the reader's next `parse`. A key that occurs twice in an object is two members, in order;
/// readers of records let the last one win. Nothing is allocated once the reader has seen a document of half the size.
public final class JSONRecordReader {
  private let parser: OpaquePointer
  public let maxBytes: Int
  public let maxDepth: Int

  /// - Parameters:
  ///   - maxBytes: The largest document, in `64...1 GiB`.
  ///   - maxDepth: The deepest nesting of arrays and objects, in `1...1024`.
  public init(maxBytes: Int, maxDepth: Int) {
    precondition((64...1 << 30).contains(maxBytes) && (1...1024).contains(maxDepth))
    guard let parser = fsj_parser_create(maxBytes, maxDepth) else { fatalError("no memory for a JSON parser") }
    self.parser = parser
    self.maxBytes = maxBytes
    self.maxDepth = maxDepth
  }

  deinit { fsj_parser_destroy(parser) }

  /// - Parameter bytes: UTF-8; copied, so that they need no padding and may go away.
  public func parse(_ bytes: UnsafeRawBufferPointer) throws(JSONError) -> JSONValue {
    let result = fsj_parse(parser, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
    guard result.error == 0, let nodes = result.nodes else { throw error(of: result, byteCount: bytes.count) }
    return JSONValue(node: nodes, root: nodes)
  }

  private func error(of result: fsj_result, byteCount: Int) -> JSONError {
    switch Int(result.error) {
    case FSJ_ERROR_TOO_LARGE:
      JSONError(kind: .oversized, message: "JSON of \(byteCount) bytes, at most \(maxBytes) are allowed")
    case FSJ_ERROR_TOO_DEEP:
      JSONError(kind: .oversized, message: "JSON nested deeper than \(maxDepth) levels")
    default:
      JSONError(
        kind: .malformed,
        message: "malformed JSON of \(byteCount) bytes: "
          + (result.message.map { String(cString: $0) } ?? "unknown reason"))
    }
  }
}

/// One value of a parsed document, valid until its reader parses the next one.
public struct JSONValue {
  let node: UnsafePointer<fsj_node>
  let root: UnsafePointer<fsj_node>

  public enum Kind: UInt32, Sendable {
    case null = 0
    case bool, int64, uint64, double, string, array, object
  }

  @inline(__always)
  public var kind: Kind { Kind(rawValue: node.pointee.kind)! }

  /// The member's key; empty outside objects.
  @inline(__always)
  public var name: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: node.pointee.name, count: Int(node.pointee.name_count))
  }

  /// The unescaped UTF-8 of a string; empty for other kinds.
  @inline(__always)
  public var text: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: node.pointee.text, count: node.pointee.text == nil ? 0 : Int(node.pointee.count))
  }

  /// Of `int64`; meaningless for other kinds.
  public var int64: Int64 { Int64(bitPattern: node.pointee.bits) }
  /// Of `uint64`: an integer above `Int64.max`.
  public var uint64: UInt64 { node.pointee.bits }
  /// Of `double`.
  public var double: Double { Double(bitPattern: node.pointee.bits) }
  /// Of `bool`.
  public var bool: Bool { node.pointee.bits != 0 }

  /// Any number as a double; nil for other kinds.
  public var number: Double? {
    switch kind {
    case .int64: Double(int64)
    case .uint64: Double(uint64)
    case .double: double
    default: nil
    }
  }

  /// The string as `String`; nil for other kinds.
  public var string: String? { kind == .string ? String(decoding: text, as: UTF8.self) : nil }

  /// The members of an object or the elements of an array, in order; empty for other kinds.
  public var children: Children { Children(parent: self) }

  /// How many children there are.
  public var childCount: Int { kind == .array || kind == .object ? Int(node.pointee.count) : 0 }

  /// The last member with the key; nil if there is none or this is no object.
  /// - Complexity: O(children).
  public subscript(key: String) -> JSONValue? {
    guard kind == .object else { return nil }
    var found: JSONValue?
    var key = key
    key.withUTF8 { bytes in
      for child in children where child.name.elementsEqual(bytes) { found = child }
    }
    return found
  }

  public struct Children: Sequence, IteratorProtocol {
    private var current: UnsafePointer<fsj_node>
    private let end: UnsafePointer<fsj_node>
    private let root: UnsafePointer<fsj_node>

    @inline(__always)
    fileprivate init(parent: JSONValue) {
      root = parent.root
      current = parent.node + 1
      end = root + Int(parent.node.pointee.next)
    }

    @inline(__always)
    public mutating func next() -> JSONValue? {
      guard current < end else { return nil }
      let value = JSONValue(node: current, root: root)
      current = root + Int(current.pointee.next)
      return value
    }
  }
}
