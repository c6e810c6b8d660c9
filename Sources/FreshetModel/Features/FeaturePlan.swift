import FreshetCore

/// The schema compiled for extraction: what to compute, from which field, and where it goes.
///
/// The fields of the item and the item key make up the item's side, all others the request's. A slot whose fields lie on
/// one side is computed with that side; a cross over both is computed when the two meet.
struct FeaturePlan: Sendable {
  enum Operation: Sendable {
    case hash
    case bucketize([Double])
    case prefix(Int)
    case cross([Int])
  }

  struct Slot: Sendable {
    let name: String
    let operation: Operation
    let field: Int
    /// The slot's name and the zero byte, in `prefixes`.
    let prefixStart: Int
    let prefixCount: Int
    /// `SlotSpec.maximumLength`.
    let maximumLength: Int?
  }

  struct Dense: Sendable {
    let field: Int
    let transform: DenseFeatureSpec.Transform
    let defaultValue: Float
  }

  /// What one side computes. A part is: fid count, cross byte count, byte count, zero (32 bits each); dense floats; one
  /// count for each slot; zeros to a multiple of 8; fids; and for each cross field the number of its values (8 bits) and
  /// for each value its length (16 bits) and bytes.
  struct Side: Sendable {
    var slots: [Slot] = []
    var dense: [Dense] = []
    /// Fields whose text crosses over both sides need.
    var crossFields: [Int] = []

    static let denseStart = 16
    var countsStart: Int { Self.denseStart + 4 * dense.count }
    var fidsStart: Int { (countsStart + slots.count + 7) & ~7 }
  }

  /// Where a slot of the row comes from.
  enum Source: Sendable {
    case request(Int)
    case item(Int)
    case mixed(Int)
  }

  var request = Side()
  var item = Side()
  /// Crosses over both sides. It has no dense features and no fields of its own.
  var mixed = Side()
  /// The factors of each slot of `mixed`: whether it is the item's, and its position in that side's `crossFields`.
  var mixedFactors: [[(isItem: Bool, position: Int)]] = []
  var slots: [Source] = []
  /// For each dense feature: whether it is the item's, and its position in that side.
  var dense: [(isItem: Bool, position: Int)] = []
  var prefixes: [UInt8] = []
  /// Whether a field's number or the text of a float is needed at all.
  var needsText: [Bool]

  static let requestIDField = 1 << 20
  static let eventTimeField = 1 << 20 + 1

  init(_ spec: ModelSpec) {
    needsText = spec.fields.map { $0.type != .float }
    for slot in spec.slots {
      if case .bucketize = slot.transform { continue }
      for field in slot.fields { needsText[field] = true }
    }
    for slot in spec.slots { add(slot, spec) }
    for feature in spec.denseFeatures {
      let plan = Dense(field: feature.field, transform: feature.transform, defaultValue: feature.defaultValue)
      if Self.isItem(feature.field, spec) {
        dense.append((true, item.dense.count))
        item.dense.append(plan)
      } else {
        dense.append((false, request.dense.count))
        request.dense.append(plan)
      }
    }
  }

  static func isItem(_ field: Int, _ spec: ModelSpec) -> Bool {
    field == spec.itemKey || spec.fields[field].source == .item
  }

  private mutating func add(_ spec: SlotSpec, _ model: ModelSpec) {
    let start = prefixes.count
    prefixes += Array(spec.name.utf8) + [0]
    let operation: Operation =
      switch spec.transform {
      case _ where spec.isCross: .cross(spec.fields)
      case .hash: .hash
      case .bucketize(let boundaries): .bucketize(boundaries)
      case .prefix(let characters): .prefix(characters)
      }
    let slot = Slot(
      name: spec.name, operation: operation, field: spec.fields[0], prefixStart: start,
      prefixCount: prefixes.count - start, maximumLength: spec.maximumLength)
    let sides = Set(spec.fields.map { Self.isItem($0, model) })
    if sides == [false] {
      slots.append(.request(request.slots.count))
      request.slots.append(slot)
    } else if sides == [true] {
      slots.append(.item(item.slots.count))
      item.slots.append(slot)
    } else {
      let factors = spec.fields.map { field -> (isItem: Bool, position: Int) in
        let isItem = Self.isItem(field, model)
        return (isItem, isItem ? item.crossPosition(of: field) : request.crossPosition(of: field))
      }
      slots.append(.mixed(mixed.slots.count))
      mixed.slots.append(slot)
      mixedFactors.append(factors)
    }
  }
}

extension FeaturePlan {
  /// Which slots and dense features of the schema each side has, in the order in which it has them.
  var sides: FeatureSides {
    var sides = FeatureSides(
      request: .init(slots: [], dense: []), item: .init(slots: [], dense: []), mixed: .init(slots: [], dense: []))
    for (slot, source) in slots.enumerated() {
      switch source {
      case .request: sides.request.slots.append(slot)
      case .item: sides.item.slots.append(slot)
      case .mixed: sides.mixed.slots.append(slot)
      }
    }
    for (feature, place) in dense.enumerated() {
      if place.isItem { sides.item.dense.append(feature) } else { sides.request.dense.append(feature) }
    }
    return sides
  }
}

extension FeaturePlan.Side {
  /// The position of a field in `crossFields`, where it is put if it is not there yet.
  fileprivate mutating func crossPosition(of field: Int) -> Int {
    if let position = crossFields.firstIndex(of: field) { return position }
    crossFields.append(field)
    return crossFields.count - 1
  }
}
