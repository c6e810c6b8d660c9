import FreshetCore
import FreshetModel

/// Titles of items by id, from records of the `items` topic.
public struct TitleCatalog: Sendable {
  public let capacity: Int
  private let keyField: String
  private let titleField: String
  private var titles: [String: String] = [:]
  /// Items whose titles were not kept because there were `capacity` of them.
  public private(set) var leftOut = 0

  static let titleLimit = 200

  /// - Parameters:
  ///   - keyField: The member with the item's id.
  ///   - titleField: The member with what people call it.
  public init(keyField: String, titleField: String, capacity: Int) {
    self.keyField = keyField
    self.titleField = titleField
    self.capacity = capacity
  }

  public var count: Int { titles.count }

  /// nil for an item without a title, or of which nothing is known.
  public subscript(id: String) -> String? { titles[id] }

  /// Takes a record's title; without a value (a deletion) the item is forgotten. Records of no use are the joiner's to report.
  public mutating func take(
    key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, reader: JSONRecordReader
  ) {
    guard let value else {
      if let key { titles[String(decoding: key, as: UTF8.self)] = nil }
      return
    }
    guard let root = try? reader.parse(value), let id = Self.id(root[keyField]) else { return }
    guard let title = root[titleField]?.string, !title.isEmpty else {
      titles[id] = nil
      return
    }
    guard titles.count < capacity || titles[id] != nil else {
      leftOut += 1
      return
    }
    titles[id] = VisibleText.excerpt(title, limit: Self.titleLimit).text
  }

  /// As replicas write ids.
  private static func id(_ value: JSONValue?) -> String? {
    switch value?.kind {
    case .string: value?.string
    case .int64: value.map { String($0.int64) }
    case .uint64: value.map { String($0.uint64) }
    case .double: value.map { CanonicalText.text($0.double) }
    default: nil
    }
  }
}
