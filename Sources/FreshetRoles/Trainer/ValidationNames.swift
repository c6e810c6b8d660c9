import FreshetCore
import FreshetModel

/// What the numbers in a trainer's validation stand for.
///
/// A feature id is a hash. Its text is known where it is one of few that can be tried: a bucket of a `boundaries` slot; an integer
/// in `0...65535`; text of one or two printable ASCII characters, as country codes and prefixes are. A text is told only if its
/// hash is the fid, so it is never a guess. Other values are told by their fid alone.
struct ValidationNames: Sendable {
  let model: String
  let tasks: [String]
  /// Those of `trainer.validation.slices`.
  let slots: [String]
  /// By slot, as in `slots`.
  private let texts: [[Fid: String]]

  /// - Complexity: Some 10 ms and 5 MB for each slot.
  init(_ model: ModelSpec, slices: [String]) {
    self.model = model.name
    tasks = model.tasks.map(\.name)
    slots = slices
    texts = slices.map { name in model.slot(named: name).map { Self.texts(of: $0, in: model) } ?? [:] }
  }

  /// The fid in hexadecimal, as `ROW` takes it.
  static func hexadecimal(_ fid: Fid) -> String {
    let digits = String(fid, radix: 16)
    return "0x" + String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// nil where it cannot be known.
  /// - Parameter slot: Position in `slots`.
  func text(of fid: Fid, slot: Int) -> String? { texts[slot][fid] }

  private static func texts(of slot: SlotSpec, in model: ModelSpec) -> [Fid: String] {
    guard !slot.isCross else { return [:] }
    var texts: [Fid: String] = [:]
    func add(_ value: String, _ text: String) { texts[Hashing.fid(slot: slot.name, value: value)] = text }
    if case .bucketize(let boundaries) = slot.transform {
      for bucket in 0...boundaries.count { add(String(bucket), range(bucket, boundaries)) }
      return texts
    }
    let type = model.fields[slot.fields[0]].type
    if type != .string { for number in 0...65_535 { add(String(number), String(number)) } }
    if type == .string {
      let printable = (0x20...0x7e).map { String(UnicodeScalar(UInt8($0))) }
      for first in printable {
        add(first, first)
        for second in printable { add(first + second, first + second) }
      }
    }
    return texts
  }

  /// `[18, 25)`: from the first boundary on, below the second.
  private static func range(_ bucket: Int, _ boundaries: [Double]) -> String {
    func text(_ boundary: Double) -> String {
      boundary == boundary.rounded() && abs(boundary) < 1e15 ? String(Int64(boundary)) : "\(boundary)"
    }
    let lower = bucket > 0 ? "[" + text(boundaries[bucket - 1]) : "(-inf"
    return lower + ", " + (bucket < boundaries.count ? text(boundaries[bucket]) : "inf") + ")"
  }
}
