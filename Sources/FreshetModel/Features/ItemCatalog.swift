import FreshetCore

/// What is known of one item.
public final class CatalogItem: Sendable {
  /// Canonical text of the item key.
  public let key: String
  /// XXH3 of the key.
  public let keyHash: UInt64
  /// The item's side of every row about it.
  public let part: FeaturePart
  /// The record as it came.
  public let json: [UInt8]

  init(key: String, keyHash: UInt64, part: FeaturePart, json: [UInt8]) {
    self.key = key
    self.keyHash = keyHash
    self.part = part
    self.json = json
  }

  /// A scalar member of the record as text, such as its `title`; nil if there is none.
  public func metadata(_ name: String, _ reader: JSONRecordReader) -> String? {
    json.withUnsafeBytes { bytes in
      guard let root = try? reader.parse(bytes), let value = root[name] else { return nil }
      switch value.kind {
      case .string: return value.string
      case .int64: return String(value.int64)
      case .uint64: return String(value.uint64)
      case .double: return String(value.double)
      case .bool: return value.bool ? "true" : "false"
      case .null, .array, .object: return nil
      }
    }
  }
}

/// The items of the `items` topic, by key. A key is known by the 64-bit hash of its canonical text, as a fid is.
public struct ItemCatalog: Sendable {
  private var positions: [UInt64: Int] = [:]
  /// In no particular order: deleting an item puts the last one in its place.
  public private(set) var items: [CatalogItem] = []
  /// The most items; more are refused.
  public let capacity: Int

  public init(capacity: Int) { self.capacity = capacity }

  public var count: Int { items.count }

  /// Whether so many more items can be put without moving those that are there.
  public func hasRoom(for more: Int) -> Bool {
    min(items.capacity, positions.capacity) >= min(capacity, items.count + more)
  }

  /// Makes room for so many more items, and for as many again as there are.
  public mutating func makeRoom(for more: Int) {
    let room = min(capacity, max(items.count * 2, items.count + more))
    items.reserveCapacity(room)
    positions.reserveCapacity(room)
  }

  public func item(hash: UInt64) -> CatalogItem? { positions[hash].map { items[$0] } }

  /// - Parameter key: Canonical text, as `FeatureExtractor.text(of:in:)` gives it.
  public func item(key: UnsafeBufferPointer<UInt8>) -> CatalogItem? {
    item(hash: Hashing.xxh3(UnsafeRawBufferPointer(key)))
  }

  /// - Parameter key: Canonical text.
  public func item(key: String) -> CatalogItem? { item(hash: Hashing.xxh3(key)) }

  /// Adds or replaces the item that a JSON record describes.
  public mutating func upsert(
    _ record: UnsafeRawBufferPointer, _ extractor: FeatureExtractor, _ reader: JSONRecordReader,
    _ scratch: FeatureScratch
  ) throws(ItemError) {
    try put(Self.item(from: record, extractor, reader, scratch))
  }

  /// The item that a JSON record describes, for `put`.
  public static func item(
    from record: UnsafeRawBufferPointer, _ extractor: FeatureExtractor, _ reader: JSONRecordReader,
    _ scratch: FeatureScratch
  ) throws(ItemError) -> CatalogItem {
    do {
      let object = try reader.parse(record)
      scratch.reset()
      try extractor.read(object, .item, into: scratch)
      guard let key = extractor.text(of: extractor.spec.itemKey, in: scratch) else {
        throw FeatureError.missing(extractor.spec.fields[extractor.spec.itemKey].name)
      }
      let hash = Hashing.xxh3(UnsafeRawBufferPointer(key))
      return CatalogItem(
        key: String(decoding: key, as: UTF8.self), keyHash: hash, part: try extractor.copyItemPart(scratch),
        json: Array(record))
    } catch let error as DescribedError {
      throw ItemError(code: error.code, message: error.message)
    } catch {
      throw ItemError(code: "malformed-json", message: "\(error)")
    }
  }

  /// Adds an item, or replaces the one with its key.
  /// - Throws: `catalog-full`.
  public mutating func put(_ item: CatalogItem) throws(ItemError) {
    if let position = positions[item.keyHash] {
      items[position] = item
      return
    }
    guard items.count < capacity else {
      throw ItemError(
        code: "catalog-full", message: "item \(item.key) would be one more than the \(capacity) that are allowed")
    }
    positions[item.keyHash] = items.count
    items.append(item)
  }

  /// Removes the item whose record was deleted.
  /// - Parameter recordKey: The Kafka key: the item key's text, canonical or not.
  /// - Returns: Whether the item was known.
  public mutating func remove(
    recordKey: UnsafeRawBufferPointer, _ extractor: FeatureExtractor, _ scratch: FeatureScratch
  ) throws(ItemError) -> Bool {
    try Self.keyHash(ofRecordKey: recordKey, extractor, scratch).map { remove(hash: $0) } ?? false
  }

  /// The hash of the item key that a Kafka key says; nil if it says nothing.
  public static func keyHash(
    ofRecordKey recordKey: UnsafeRawBufferPointer, _ extractor: FeatureExtractor, _ scratch: FeatureScratch
  ) throws(ItemError) -> UInt64? {
    let name = extractor.spec.fields[extractor.spec.itemKey].name
    scratch.reset()
    do throws(FeatureError) {
      var name = name
      let result: Result<Bool, FeatureError> = name.withUTF8 { name in
        Result { () throws(FeatureError) in
          try extractor.set(name: UnsafeRawBufferPointer(name), text: recordKey, into: scratch)
        }
      }
      _ = try result.get()
    } catch {
      throw ItemError(code: error.code, message: "the record's key: " + error.message)
    }
    return extractor.text(of: extractor.spec.itemKey, in: scratch).map { Hashing.xxh3(UnsafeRawBufferPointer($0)) }
  }

  /// - Returns: Whether the item was known.
  public mutating func remove(hash: UInt64) -> Bool {
    guard let position = positions.removeValue(forKey: hash) else { return false }
    let last = items.removeLast()
    if position < items.count {
      items[position] = last
      positions[last.keyHash] = position
    }
    return true
  }
}

/// An `items` record that cannot be used; the codes are those of dead-letter records.
public struct ItemError: DescribedError, Equatable {
  public let code: String
  public let message: String

  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }
}
