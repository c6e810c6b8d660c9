import FreshetCore

/// The values of an item's own fields, each as a hash of 64 bits, for filters.
struct ItemValues: Sendable {
  /// For each field of the item where its hashes end, then the hashes.
  private let words: [UInt64]

  init(_ words: [UInt64]) { self.words = words }

  /// Whether a field has one of some values.
  /// - Parameters:
  ///   - field: Among the item's fields, of which there are `fieldCount`.
  ///   - wanted: Hashes of values.
  @inline(__always)
  func has(_ field: Int, of fieldCount: Int, anyOf wanted: UnsafeBufferPointer<UInt64>) -> Bool {
    words.withUnsafeBufferPointer { words in
      let first = field == 0 ? 0 : Int(truncatingIfNeeded: words[field &- 1])
      for position in first..<Int(truncatingIfNeeded: words[field]) {
        let value = words[fieldCount &+ position]
        for candidate in wanted where candidate == value { return true }
      }
      return false
    }
  }
}

extension FeatureExtractor {
  /// The positions of the item's own fields, ascending.
  var itemFields: [Int] { spec.fields.indices.filter { spec.fields[$0].source == .item } }

  /// The item's own fields as the scratch has them.
  func itemValues(_ scratch: FeatureScratch) -> ItemValues {
    let fields = itemFields
    var ends: [UInt64] = []
    var hashes: [UInt64] = []
    for field in fields {
      hashes += valueHashes(of: field, in: scratch)
      ends.append(UInt64(hashes.count))
    }
    return ItemValues(ends + hashes)
  }

  /// The hashes of a field's values: equal values of one field have equal hashes.
  func valueHashes(of field: Int, in scratch: FeatureScratch) -> [UInt64] {
    let range = scratch.fields[field]
    return (0..<Int(range.count)).map { index in
      let value = scratch.values[Int(range.first) + index]
      // 0 and −0 are one number.
      return spec.fields[field].type == .string
        ? Hashing.xxh3(UnsafeRawBufferPointer(scratch.text(value))) : Hashing.mix((value.number + 0).bitPattern)
    }
  }
}

/// A condition on the items that are asked for: for each of some fields, one of the values that it is to have.
public struct ItemFilter: Sendable {
  private struct Clause: Sendable {
    let field: Int
    var hashes: [UInt64]
  }

  private let itemFields: [Int]
  private var clauses: [Clause] = []

  /// Every item.
  public init(_ extractor: FeatureExtractor) { itemFields = extractor.itemFields }

  public var isEmpty: Bool { clauses.isEmpty }

  /// Adds values that a field may have. Fields must all agree with the item, of one field's values one.
  /// - Parameters:
  ///   - field: A field of the item, of which the scratch has the values.
  /// - Precondition: The schema says that the field is the item's.
  public mutating func allow(_ field: Int, _ extractor: FeatureExtractor, _ scratch: FeatureScratch) {
    let position = itemFields.firstIndex(of: field)!
    let hashes = extractor.valueHashes(of: field, in: scratch)
    if let known = clauses.firstIndex(where: { $0.field == position }) {
      clauses[known].hashes += hashes
    } else {
      clauses.append(Clause(field: position, hashes: hashes))
    }
  }

  @inline(__always)
  func accepts(_ values: ItemValues) -> Bool {
    for clause in clauses {
      let isMet = clause.hashes.withUnsafeBufferPointer {
        values.has(clause.field, of: itemFields.count, anyOf: $0)
      }
      if !isMet { return false }
    }
    return true
  }
}
