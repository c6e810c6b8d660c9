import Foundation
import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetStore
import FreshetTable
import Testing

@testable import FreshetRoles

@Suite struct InspectTests {
  let path = NSTemporaryDirectory() + "freshet-inspect-\(UUID().uuidString)"
  let compressor = ZstdCompressor(level: 1)
  let base = SnapshotID(shard: ShardID(3), number: 7, life: 0xdead_beef)
  let delta = SnapshotID(shard: ShardID(3), number: 8, life: 0xdead_beef)

  /// A base with two rows and a delta with one, as a server would write them.
  private func makeStore() throws -> DirectoryStore {
    let store = try DirectoryStore(writing: path)
    let writer = SnapshotFileWriter(store: store, compressor: compressor)
    var chain: [SnapshotFile] = []
    for (id, fids) in [(base, [10, 11] as [Fid]), (delta, [11])] {
      let header = SnapshotHeader(
        id: id, kind: chain.isEmpty ? .base : .delta, shardCount: 16,
        parent: chain.last.flatMap { SnapshotHeader.Parent($0) }, takenAt: UnixTime(milliseconds: 1_700_000_000_000),
        copied: nil, newestMinutes: 5,
        progress: [PartitionProgress(partition: PartitionID(2), watermark: Offset(99), origin: .none)],
        tables: [
          TableSnapshot(
            shape: TableShape(name: "user", width: 2, weightFormat: .float16, optimizer: .adagrad, rowBytes: 12),
            minutes: 0, expiryCauses: 0,
            head: TableCutHead(
              isFull: chain.isEmpty, rowCount: fids.count, newestMinutes: 5, statistics: TableStatistics(),
              evictionCursor: 0, sketchAdditions: 0, sketchNextLine: 0, generatorState: [1], sketchBytes: 0,
              removed: []))
        ])
      var rows = TableRows()
      rows.fids = fids
      rows.minutes = fids.map { UInt32($0) }
      for fid in fids {
        // 1 and −0.5 in binary16, then 0.25 and the fid in binary32.
        rows.bytes += [0, 0x3c, 0, 0xb8]
        for value in [0.25, Float(fid)] { withUnsafeBytes(of: value) { rows.bytes += $0 } }
      }
      _ = writer.perform(.begin(SnapshotPlan(ticket: id.number, header: header, chain: chain)))
      _ = writer.perform(.part(.rows(table: 0, rows), ticket: id.number))
      guard case .stored(_, let result)? = writer.perform(.part(.end, ticket: id.number)) else {
        throw UsageError("not stored")
      }
      chain.append(result.file)
    }
    return store
  }

  private func inspect(
    _ file: String?, verify: Bool = false, rows: Int = 0, table: String? = nil, fid: Fid? = nil
  ) throws -> InspectReport {
    let options = InspectOptions(path: path, verify: verify, rows: rows, table: table, fid: fid)
    var inspector = Inspector(store: try DirectoryStore(reading: path), compressor: compressor, options: options)
    return try inspector.inspect(file: file)
  }

  @Test func aStoreIsListedByShardAndAMissingOrDamagedFileIsAProblem() throws {
    _ = try makeStore()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let report = try inspect(nil, verify: true)
    #expect(report.problems.isEmpty)
    #expect(report.shards?.map(\.shard) == [3])
    #expect(report.shards?[0].snapshots.map(\.number) == [7, 8])
    #expect(report.shards?[0].snapshots.map(\.chain.count) == [1, 2])
    #expect(report.shards?[0].snapshots.allSatisfy { $0.isVerified == true } == true)
    let text = report.text(now: UnixTime(milliseconds: 1_700_000_100_000))
    #expect(text.contains("shard 3: 2 snapshots, 4 files"), "\(text)")
    #expect(text.contains("base and 1 deltas"))
    #expect(text.contains("2023-11-14T22:13:20Z, 100 s ago, whole"), "\(text)")
    #expect(try report.json.contains("\"number\" : 8"))

    let name = path + "/" + delta.fileName(.delta)
    var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: name)))
    bytes[200] ^= 1
    try Data(bytes).write(to: URL(fileURLWithPath: name))
    #expect(try inspect(nil).problems.isEmpty)
    let damaged = try inspect(nil, verify: true)
    #expect(damaged.shards?[0].snapshots.map(\.isVerified) == [true, false])
    #expect(damaged.problems.count == 1)
    #expect(damaged.problems[0].contains("checksum"), "\(damaged.problems)")

    try FileManager.default.removeItem(atPath: name)
    let missing = try inspect(nil)
    #expect(missing.problems == ["\(delta.manifestName): \(delta.fileName(.delta)) is missing"])
    try Data("junk".utf8).write(to: URL(fileURLWithPath: path + "/" + delta.manifestName))
    #expect(try inspect(nil).problems.map { $0.contains("not a manifest") } == [true])
    #expect(try inspect(nil).shards?[0].leftovers == [delta.manifestName])
  }

  @Test func aManifestShowsItsChain() throws {
    _ = try makeStore()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let report = try inspect(delta.manifestName, verify: true)
    #expect(report.snapshot?.chain.map(\.name) == [base.fileName(.base), delta.fileName(.delta)])
    #expect(report.snapshot?.isVerified == true)
    #expect(report.text(now: .now()).contains("shard 3 of 16"))
  }

  @Test func aDataFileShowsHeaderCountsAndRows() throws {
    _ = try makeStore()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let name = base.fileName(.base)
    let header = try inspect(name)
    #expect(header.file?.tables.map(\.name) == ["user"])
    #expect(header.file?.watermarks.map(\.offset) == [99])
    #expect(header.file?.verified == nil)
    #expect(header.rows == nil)
    let rows = try inspect(name, verify: true, rows: 5)
    #expect(rows.file?.verified?.rows == 2)
    #expect(rows.file?.verified?.blocks == 2)
    #expect(
      rows.rows == [
        InspectReport.Row(table: "user", fid: 10, minutes: 10, weights: [1, -0.5], state: [0.25, 10]),
        InspectReport.Row(table: "user", fid: 11, minutes: 11, weights: [1, -0.5], state: [0.25, 11]),
      ])
    #expect(try inspect(name, rows: 1).rows?.map(\.fid) == [10])
    #expect(try inspect(name, fid: 11).rows?.map(\.fid) == [11])
    #expect(try inspect(name, table: "user", fid: 12).rows?.isEmpty == true)
    #expect(try inspect(delta.fileName(.delta)).file?.parent?.contains("number 7") == true)
    let text = rows.text(now: .now())
    #expect(text.contains("table user: 2 rows here, 2 weights in fp16, adagrad"), "\(text)")
    #expect(text.contains("partition 2: watermark 99"))
    do {
      _ = try inspect(name, table: "item")
      Issue.record("not refused")
    } catch let error as SnapshotError {
      #expect(error.message.contains("its tables are user"))
    }
  }

  @Test func whatIsNotASnapshotIsAnErrorThatSaysSo() throws {
    _ = try makeStore()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data("hello, this is text".utf8).write(to: URL(fileURLWithPath: path + "/notes.txt"))
    do {
      _ = try inspect("notes.txt")
      Issue.record("not refused")
    } catch let error as SnapshotError {
      #expect(error.message.contains("not a data file"))
    }
    try FileManager.default.removeItem(atPath: path + "/shard-0003")
    do {
      _ = try inspect(nil)
      Issue.record("not refused")
    } catch let error as SnapshotError {
      #expect(error.message.contains("has no snapshots"))
    }
  }

  @Test func aPathBecomesAStoreAndAFile() {
    func split(_ path: String, isDirectory: Bool = false) -> [String?] {
      let (store, file) = InspectOptions.split(path: path, isDirectory: isDirectory)
      return [store, file]
    }
    #expect(split("/data/snapshots", isDirectory: true) == ["/data/snapshots", nil])
    #expect(split("/data/shard-0003/a.rows") == ["/data", "shard-0003/a.rows"])
    #expect(split("data/shard-0003/a.rows") == ["data", "shard-0003/a.rows"])
    #expect(split("shard-0003/a.rows") == [".", "shard-0003/a.rows"])
    #expect(split("/shard-0003/a.rows") == ["/", "shard-0003/a.rows"])
    #expect(split("./a.rows") == [".", "a.rows"])
    #expect(split("a.rows") == [".", "a.rows"])
    #expect(split("/data/x/a.manifest") == ["/data/x", "a.manifest"])
    #expect(split("/a.rows") == ["/", "a.rows"])
  }

  @Test func halfPrecisionIsReadExactly() {
    for (bits, value) in [
      (0x3c00, 1), (0xc000, -2), (0x0001, 0x1p-24), (0x03ff, 0x1.ff8p-15), (0x0400, 0x1p-14), (0x7bff, 65_504),
      (0x7c00, Float.infinity), (0xfc00, -.infinity), (0x3555, 0x1.554p-2),
    ] as [(UInt16, Float)] { #expect(Float(float16Bits: bits) == value) }
    #expect(Float(float16Bits: 0x7e00).isNaN)
  }
}
