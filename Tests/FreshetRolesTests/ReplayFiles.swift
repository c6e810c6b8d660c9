import Foundation
import FreshetCore

@testable import FreshetRoles

/// A directory of a test's own, removed with the last reference to it.
final class ScratchDirectory {
  let path: String

  init(_ files: [String: [UInt8]]) throws {
    path = NSTemporaryDirectory() + "freshet-replay-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for (name, bytes) in files { try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)")) }
  }

  convenience init(texts: [String: String]) throws { try self.init(texts.mapValues { Array($0.utf8) }) }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The JSON object that the bytes are.
func jsonObject(_ bytes: some Sequence<UInt8>) throws -> [String: Any] {
  let value = try JSONSerialization.jsonObject(with: Data(bytes))
  guard let object = value as? [String: Any] else {
    throw MalformedBlob(what: "test", position: 0, reason: "no object")
  }
  return object
}

extension MovieLensData {
  /// Ratings of few users and movies within few seconds, so that ties and repeated pairs are common.
  static func random(count: Int, seed: UInt64, secondsRange: UInt64) -> MovieLensData {
    var generator = SeededGenerator(seed: seed)
    var data = MovieLensData()
    for _ in 0..<count {
      data.users.append(UInt32(generator.next() % 20))
      data.items.append(UInt32(generator.next() % 30))
      data.values.append(Int32(1 + generator.next() % 10) * 500)
      data.seconds.append(Int64(978_300_000 + generator.next() % secondsRange))
    }
    return data
  }
}

/// Every bad row that the reader reports.
func collect<T>(_ body: (@escaping BadRowReport) throws -> T) throws -> (T, [BadRow]) {
  var rows: [BadRow] = []
  let value = try body { rows.append($0) }
  return (value, rows)
}

/// Everything that is sent, and a queue that can be full.
final class RecordingSink: ReplaySink {
  struct Record: Equatable {
    var topic: ReplayTopic
    var key: String
    var payload: String
  }

  var records: [Record] = []
  /// Refuses one record in so many; 0 for none.
  var refusesEvery = 0
  private var calls = 0

  func send(_ topic: ReplayTopic, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) throws -> Bool {
    calls += 1
    if refusesEvery > 0 && calls % refusesEvery == 0 { return false }
    records.append(
      Record(
        topic: topic, key: String(decoding: key, as: UTF8.self), payload: String(decoding: payload, as: UTF8.self)))
    return true
  }
}
