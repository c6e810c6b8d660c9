import FreshetCore
import FreshetModel
import FreshetWire

@testable import FreshetRoles

/// The score of an example by the book, in double precision, from what `ROW` answers: shares no code with the scorer.
struct ServeReference {
  let fixture: ServeFixture

  /// - Parameters:
  ///   - fids: By slot.
  ///   - dense: The dense features.
  func probability(fids: [[Fid]], dense: [Double], task: Int) throws -> Double {
    let model = ServeFixture.model
    var vectors: [[Double]] = []
    var linear = 0.0
    for (slot, values) in fids.enumerated() {
      let table = model.tables[model.slots[slot].table]
      let factors = table.dimension
      var pooled = [Double](repeating: 0, count: factors + 1)
      for fid in values {
        let weights = try row(table: table.name, fid: fid)
        let share = model.slots[slot].pooling == .mean ? 1 / Double(values.count) : 1
        for index in 0...factors { pooled[index] += share * weights[index] }
      }
      linear += pooled[factors]
      vectors.append(Array(pooled[..<factors]))
    }
    var interactions = 0.0
    let multiplied = model.network.factorizedSlots!
    for first in multiplied {
      for second in multiplied where second > first {
        interactions += zip(vectors[first], vectors[second]).reduce(0) { $0 + $1.0 * $1.1 }
      }
    }
    let parameters = try denseParameters()
    var position = 0
    func layer(_ input: [Double], outputs: Int) -> [Double] {
      let weights = position
      let biases = position + input.count * outputs
      position = biases + outputs
      return (0..<outputs).map { output in
        input.indices.reduce(parameters[biases + output]) { sum, index in
          sum + input[index] * parameters[weights + index * outputs + output]
        }
      }
    }
    var activation = vectors.flatMap { $0 } + dense
    for width in model.network.hidden { activation = layer(activation, outputs: width).map { max(0, $0) } }
    let heads = layer(activation, outputs: model.tasks.count)
    return 1 / (1 + exponential(-(heads[task] + linear + interactions)))
  }

  private func row(table: String, fid: Fid) throws -> [Double] {
    let reply = try fixture.ask(["ROW", table, String(fid)]).elements ?? []
    return reply.dropFirst().map { $0.double ?? .nan }
  }

  private func denseParameters() throws -> [Double] {
    try fixture.tables.denseLayout.fids.flatMap { try row(table: "dense", fid: $0) }
  }

  /// e^x by its series after halving the argument: needs no library.
  private func exponential(_ value: Double) -> Double {
    let reduced = value / 1024
    var term = 1.0
    var sum = 1.0
    for index in 1...20 {
      term *= reduced / Double(index)
      sum += term
    }
    for _ in 0..<10 { sum *= sum }
    return sum
  }

  // MARK: - Features, by hand

  /// Of item `id` of the fixture's catalog for user `user`, a woman of 25 from 48067 with tags x and y.
  func fids(user: Int, item: Int, genres: [String]) -> [[Fid]] {
    [
      [Hashing.fid(slot: "user", value: "\(user)")], [Hashing.fid(slot: "item", value: "\(item)")],
      [Hashing.fid(slot: "age", value: "1")], [Hashing.fid(slot: "zip", value: "48")],
      ["x", "y"].map { Hashing.fid(slot: "tags", value: $0) },
      genres.map { Hashing.fid(slot: "genres", value: $0) },
      genres.map { Hashing.fid(slot: "taste", value: "F\u{1f}\($0)") },
    ]
  }

  static let context = "user_id=2 gender=F age=25 zip=48067 tags=x tags=y"

  static func genres(ofItem id: Int) -> [String] { id % 5 == 0 ? [] : ["g\(id % 3)", "g\(id % 7)"] }
  static func dense(ofItem id: Int) -> [Double] { [(Double(1960 + id) - 1990) / 10] }
}
