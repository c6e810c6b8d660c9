import FreshetCore

/// What is known of one item, or of what an enrichment's key names.
public final class CatalogItem: Sendable {
  /// Canonical text of the key.
  public let key: String
  /// XXH3 of the key.
  public let keyHash: UInt64
  /// The item's side of every row about it; of enrichments' records empty.
  public let part: FeaturePart
  /// The record as it came.
  public let json: [UInt8]
  let values: ItemValues

  init(key: String, keyHash: UInt64, part: FeaturePart, json: [UInt8], values: ItemValues) {
    self.key = key
    self.keyHash = keyHash
    self.part = part
    self.json = json
    self.values = values
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

/// The catalog of the `items` topic.
public typealias ItemCatalog = KeyedCatalog

/// The records of a compacted topic by key: the items of `items`, or those of an enrichment. A key is known by the 64-bit hash of
/// its canonical text, as a fid is.
///
/// An item has a position, which stays the same for as long as it is there; a later one may get it. Not thread-safe.
public final class KeyedCatalog {
  /// What is known of a position.
  struct Entry {
    var item: Unmanaged<CatalogItem>?
    /// Of the item: found without a look at the item.
    var part: UnsafeRawPointer?
    /// Another one for each change of the position.
    var revision: UInt64
  }

  private static let entriesPerSlab = 1024

  /// `item`, or which enrichment.
  public let source: FieldSpec.Source
  /// The most items; more are refused.
  public let capacity: Int
  public private(set) var count = 0
  /// All positions in use are below it.
  @exclusivity(unchecked) public private(set) var positionEnd = 0
  @exclusivity(unchecked) private var index = ItemIndex()
  /// Entries in slabs, so that they never move.
  private let slabs: UnsafeMutablePointer<UnsafeMutablePointer<Entry>>
  private var slabCount = 0
  private var freePositions: [Int] = []
  private var revision: UInt64 = 0

  /// Of the items.
  public convenience init(capacity: Int) { self.init(of: .item, capacity: capacity) }

  /// - Precondition: The source is no request.
  public init(of source: FieldSpec.Source, capacity: Int) {
    precondition(source != .request)
    self.source = source
    self.capacity = capacity
    slabs = .allocate(capacity: capacity / Self.entriesPerSlab + 1)
  }

  deinit {
    for position in 0..<positionEnd { entry(position).pointee.item?.release() }
    for slab in 0..<slabCount { slabs[slab].deallocate() }
    slabs.deallocate()
  }

  @inline(__always)
  private func entry(_ position: Int) -> UnsafeMutablePointer<Entry> {
    slabs[position / Self.entriesPerSlab] + position % Self.entriesPerSlab
  }

  // MARK: - Finding

  /// The position of the item with a key of this hash, −1 if there is none.
  @inline(__always)
  public func position(hash: UInt64) -> Int { index.find(hash) }

  /// The item at a position, nil if there is none.
  /// - Precondition: The position is below `positionEnd`.
  public func item(at position: Int) -> CatalogItem? { entry(position).pointee.item?.takeUnretainedValue() }

  public func item(hash: UInt64) -> CatalogItem? {
    let position = index.find(hash)
    return position < 0 ? nil : item(at: position)
  }

  /// - Parameter key: Canonical text, as `FeatureExtractor.text(of:in:)` gives it.
  public func item(key: UnsafeBufferPointer<UInt8>) -> CatalogItem? {
    item(hash: Hashing.xxh3(UnsafeRawBufferPointer(key)))
  }

  /// - Parameter key: Canonical text.
  public func item(key: String) -> CatalogItem? { item(hash: Hashing.xxh3(key)) }

  /// All items, by position.
  public var items: [CatalogItem] { (0..<positionEnd).compactMap { item(at: $0) } }

  /// The item at a position if it has not changed since it had this revision.
  public func item(at position: Int, revision: UInt64) -> CatalogItem? {
    entry(position).pointee.revision == revision ? item(at: position) : nil
  }

  /// The item's side of rows, for as long as the catalog does not change, and the item's revision: another one for each item
  /// and each change of it. Nil if there is no item.
  /// - Precondition: The position is below `positionEnd`.
  @inline(__always)
  public func place(at position: Int) -> (part: UnsafeRawPointer, revision: UInt64)? {
    let entry = entry(position).pointee
    return entry.part.map { ($0, entry.revision) }
  }

  /// Whether a filter takes an item.
  /// - Parameter excluded: Hashes of keys that are not taken.
  /// - Precondition: There is an item at the position.
  public func accepts(_ position: Int, _ filter: ItemFilter, excluding excluded: Set<UInt64>) -> Bool {
    entry(position).pointee.item.unsafelyUnwrapped._withUnsafeGuaranteedRef {
      filter.accepts($0.values) && (excluded.isEmpty || !excluded.contains($0.keyHash))
    }
  }

  // MARK: - Changing

  /// Grows the index for so many more items beside the one that is read: of millions of items that takes longer than a
  /// reader may wait.
  /// - Parameter exchange: Runs what puts the larger index in place of the other one.
  public func makeRoom(for more: Int, exchange: (() -> Void) -> Void) {
    guard let wider = index.widened(for: more) else { return }
    var other = wider
    exchange { swap(&index, &other) }
  }

  /// Adds or replaces the item that a JSON record describes.
  public func upsert(
    _ record: UnsafeRawBufferPointer, _ extractor: FeatureExtractor, _ reader: JSONRecordReader,
    _ scratch: FeatureScratch
  ) throws(ItemError) {
    try put(Self.item(from: record, of: source, extractor, reader, scratch))
  }

  /// The item that a JSON record describes, for `put`.
  public static func item(
    from record: UnsafeRawBufferPointer, of source: FieldSpec.Source, _ extractor: FeatureExtractor,
    _ reader: JSONRecordReader, _ scratch: FeatureScratch
  ) throws(ItemError) -> CatalogItem {
    do {
      let object = try reader.parse(record)
      scratch.reset()
      if case .enrichment(let position) = source {
        try extractor.read(object, .enrichment(position), into: scratch)
      } else {
        try extractor.read(object, .item, into: scratch)
      }
      let keyField = extractor.spec.keyField(of: source)
      guard let key = extractor.text(of: keyField, in: scratch) else {
        throw FeatureError.missing(
          extractor.spec.fields[keyField].name, expected: extractor.expectation(of: keyField))
      }
      let hash = Hashing.xxh3(UnsafeRawBufferPointer(key))
      return CatalogItem(
        key: String(decoding: key, as: UTF8.self), keyHash: hash,
        part: source == .item ? try extractor.copyItemPart(scratch) : .empty, json: Array(record),
        values: extractor.itemValues(scratch))
    } catch let error as FeatureError {
      throw ItemError(code: error.code, message: error.message, field: error.field, expected: error.expected)
    } catch let error as DescribedError {
      throw ItemError(code: error.code, message: error.message)
    } catch {
      throw ItemError(code: "malformed-json", message: "\(error)")
    }
  }

  /// Adds an item, or replaces the one with its key.
  /// - Throws: `catalog-full`.
  public func put(_ item: CatalogItem) throws(ItemError) {
    revision += 1
    let known = index.find(item.keyHash)
    if known >= 0 {
      let entry = entry(known)
      entry.pointee.item?.release()
      entry.pointee = Entry(item: .passRetained(item), part: item.part.bytes, revision: revision)
      return
    }
    guard count < capacity else {
      throw ItemError(
        code: "catalog-full", message: "item \(item.key) would be one more than the \(capacity) that are allowed")
    }
    let position = freePositions.popLast() ?? addPosition()
    entry(position).pointee = Entry(item: .passRetained(item), part: item.part.bytes, revision: revision)
    index.insert(item.keyHash, position)
    count += 1
  }

  private func addPosition() -> Int {
    if positionEnd == slabCount * Self.entriesPerSlab {
      let slab = UnsafeMutablePointer<Entry>.allocate(capacity: Self.entriesPerSlab)
      slab.initialize(repeating: Entry(item: nil, part: nil, revision: 0), count: Self.entriesPerSlab)
      slabs[slabCount] = slab
      slabCount += 1
    }
    positionEnd += 1
    return positionEnd - 1
  }

  /// Removes the item whose record was deleted.
  /// - Parameter recordKey: The Kafka key: the item key's text, canonical or not.
  /// - Returns: Whether the item was known.
  public func remove(
    recordKey: UnsafeRawBufferPointer, _ extractor: FeatureExtractor, _ scratch: FeatureScratch
  ) throws(ItemError) -> Bool {
    try Self.keyHash(ofRecordKey: recordKey, of: source, extractor, scratch).map { remove(hash: $0) } ?? false
  }

  /// The hash of the key that a Kafka key says; nil if it says nothing.
  public static func keyHash(
    ofRecordKey recordKey: UnsafeRawBufferPointer, of source: FieldSpec.Source, _ extractor: FeatureExtractor,
    _ scratch: FeatureScratch
  ) throws(ItemError) -> UInt64? {
    let keyField = extractor.spec.keyField(of: source)
    let name = extractor.spec.fields[keyField].name
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
    return extractor.text(of: keyField, in: scratch).map { Hashing.xxh3(UnsafeRawBufferPointer($0)) }
  }

  /// - Returns: Whether the item was known.
  public func remove(hash: UInt64) -> Bool {
    let position = index.remove(hash)
    guard position >= 0 else { return false }
    revision += 1
    entry(position).pointee.item?.release()
    entry(position).pointee = Entry(item: nil, part: nil, revision: revision)
    freePositions.append(position)
    count -= 1
    return true
  }
}

/// A record of a catalog that cannot be used; the codes are those of dead-letter records.
public struct ItemError: DescribedError, Equatable {
  public let code: String
  public let message: String
  /// The field that is to blame, and what it must be, where that is known.
  public let field: String?
  public let expected: String?

  public init(code: String, message: String, field: String? = nil, expected: String? = nil) {
    self.code = code
    self.message = message
    self.field = field
    self.expected = expected
  }
}

extension ModelSpec {
  /// Position of the field that is the key of a catalog's records.
  func keyField(of source: FieldSpec.Source) -> Int {
    if case .enrichment(let position) = source { enrichments[position].key } else { itemKey }
  }
}
