import Foundation
import FreshetCluster
import FreshetCore

/// Impressions and actions of a benchmark, in the order in which they arrive.
struct JoinWorkload {
  struct Shape: Sendable, Codable, Equatable {
    var impressions: Int
    var actions: Int
    /// Share of the impressions that have an action; what is left of the actions belongs to none.
    var matched: Double
    /// Event time between two impressions.
    var spacing_ms: Int
    /// Largest event time from an impression to its action.
    var max_delay_ms: Int
    /// Records arrive up to so much event time after their turn.
    var disorder_ms: Int
    var seed: UInt64
  }

  /// A record: who, when it happened, and when it arrives.
  struct Entry {
    var arrivalMs: Int64
    var timeMs: Int64
    var request: UInt32
    /// Of an action, 1...5; 0 for an impression.
    var value: UInt8
  }

  static let startMs: Int64 = 1_700_000_000_000

  let shape: Shape
  /// In the order of arrival.
  private(set) var features: [Entry] = []
  private(set) var actions: [Entry] = []

  init(_ shape: Shape) {
    self.shape = shape
    var generator = SeededGenerator(seed: shape.seed)
    func random(_ bound: Int) -> Int64 { bound > 0 ? Int64(generator.next() % UInt64(bound)) : 0 }
    features.reserveCapacity(shape.impressions)
    actions.reserveCapacity(shape.actions)
    let withAction = min(shape.actions, Int(Double(shape.impressions) * shape.matched))
    for index in 0..<shape.impressions {
      let time = Self.startMs + Int64(index * shape.spacing_ms)
      features.append(
        Entry(arrivalMs: time + random(shape.disorder_ms), timeMs: time, request: UInt32(index), value: 0))
      // So many of them, evenly spread.
      guard (index + 1) * withAction / shape.impressions > index * withAction / shape.impressions else { continue }
      let acted = time + random(shape.max_delay_ms)
      actions.append(
        Entry(
          arrivalMs: acted + random(shape.disorder_ms), timeMs: acted, request: UInt32(index),
          value: UInt8(random(5)) + 1))
    }
    for index in 0..<max(0, shape.actions - withAction) {
      let time = Self.startMs + random(shape.impressions * shape.spacing_ms)
      actions.append(
        Entry(
          arrivalMs: time + random(shape.disorder_ms), timeMs: time, request: UInt32(shape.impressions + index),
          value: 1))
    }
    func precedes(_ a: Entry, _ b: Entry) -> Bool {
      (a.arrivalMs, a.timeMs, a.request) < (b.arrivalMs, b.timeMs, b.request)
    }
    if shape.disorder_ms > 0 { features.sort(by: precedes) }
    actions.sort(by: precedes)
  }

  /// A record of each topic that closes every window.
  mutating func appendEnd(afterMs: Int64) {
    let end = max(features.last?.timeMs ?? 0, actions.last?.timeMs ?? 0) + afterMs
    features.append(Entry(arrivalMs: end, timeMs: end, request: UInt32.max, value: 0))
  }

  static func requestID(_ request: UInt32) -> String { "req-\(request)" }
}

/// The JSON of records, as the demo's replay writes it.
struct JoinText {
  private(set) var bytes: [UInt8] = []

  mutating func write(_ entry: JoinWorkload.Entry) {
    bytes.removeAll(keepingCapacity: true)
    let hash = Hashing.mix(UInt64(entry.request) &+ 1)
    let user = Int64(hash % 6040) + 1
    add(#"{"request_id":"req-"#)
    add(Int64(entry.request))
    add(#"","event_time":"#)
    add(entry.timeMs)
    add(#","user_id":"#)
    add(user)
    if entry.value == 0 {
      add(#","item_id":"#)
      add(Int64((hash >> 32) % UInt64(JoinRun.itemCount)) + 1)
      add(#","gender":"F","age":25,"occupation":"#)
      add(user % 21)
      add(#","zip":"48067"}"#)
    } else {
      add(#","action":"rating","value":"#)
      add(Int64(entry.value))
      add("}")
    }
  }

  private mutating func add(_ text: StaticString) {
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private mutating func add(_ number: Int64) {
    var divisor: Int64 = 1
    while number / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
      divisor /= 10
    }
  }
}
