import FreshetCore
import Testing

@testable import FreshetCluster

@Suite struct SnapshotManifestTests {
  static let manifest: SnapshotManifest = {
    let base = SnapshotID(shard: ShardID(3), number: 10, life: 0xdead_beef)
    let delta = SnapshotID(shard: ShardID(3), number: 12, life: 0xdead_beef)
    return SnapshotManifest(
      id: delta, shardCount: 16, takenAt: UnixTime(milliseconds: 1_700_000_000_123),
      chain: [
        SnapshotFile(name: base.fileName(.base), kind: .base, sizeBytes: 1234, checksum: 0x0123_4567_89ab_cdef),
        SnapshotFile(name: delta.fileName(.delta), kind: .delta, sizeBytes: 56, checksum: 1),
      ])
  }()

  static let golden = """
    freshet-manifest 1
    shard 3 of 16
    number 12
    life 00000000deadbeef
    taken 1700000000123
    base 1234 0123456789abcdef shard-0003/0000000010-00000000deadbeef-base.rows
    delta 56 0000000000000001 shard-0003/0000000012-00000000deadbeef-delta.rows
    end f36e393d8f1194d7

    """

  @Test func aManifestIsTheTextThatItsDocumentShows() throws {
    #expect(String(decoding: Self.manifest.encode(), as: UTF8.self) == Self.golden)
    #expect(
      try SnapshotManifest(decoding: Array(Self.golden.utf8), name: Self.manifest.id.manifestName) == Self.manifest)
  }

  @Test func everyChangedByteAndEveryMissingEndIsFound() {
    let bytes = Self.manifest.encode()
    let name = Self.manifest.id.manifestName
    for position in bytes.indices {
      for mask: UInt8 in [1, 0x20, 0xff] {
        var wrong = bytes
        wrong[position] ^= mask
        #expect(throws: SnapshotError.self) { try SnapshotManifest(decoding: wrong, name: name) }
      }
      #expect(throws: SnapshotError.self) { try SnapshotManifest(decoding: Array(bytes[..<position]), name: name) }
    }
    #expect(throws: SnapshotError.self) { try SnapshotManifest(decoding: bytes + [10], name: name) }
  }

  /// Lines with a right checksum, as a careless writer would leave them.
  @Test(arguments: [
    ("freshet-manifest 1", "freshet-manifest 2"), ("shard 3 of 16", "shard 4 of 16"), ("shard 3 of 16", "shard 3 of 0"),
    ("number 12", "number x"), ("number 12", "number 11"), ("life 00000000deadbeef", "life 1"), ("taken 1", "token 1"),
    ("base 1234", "delta 1234"), ("base 1234", "base -1"), ("delta 56", "base 56"), ("delta.rows", "delta.raws"),
    ("delta 56 0000000000000001 shard-0003/0000000012-00000000deadbeef-delta.rows\n", ""), ("\nnumber", "\n\nnumber"),
  ]) func linesThatMakeNoSenseAreRefused(old: String, new: String) throws {
    let body = Self.golden.split(separator: "end ")[0]
    let range = try #require(body.firstRange(of: old))
    let text = body.replacingCharacters(in: range, with: new)
    let bytes = Array((text + "end \(SnapshotID.hexadecimal(Hashing.xxh3(text)))\n").utf8)
    #expect(throws: SnapshotError.self) {
      try SnapshotManifest(decoding: bytes, name: Self.manifest.id.manifestName)
    }
  }

  @Test func namesOfFilesTellWhatTheyAre() {
    let id = SnapshotID(shard: ShardID(12), number: 345, life: .max)
    #expect(id.manifestName == "shard-0012/0000000345-ffffffffffffffff.manifest")
    #expect(id.fileName(.delta) == "shard-0012/0000000345-ffffffffffffffff-delta.rows")
    for name in [id.manifestName, id.fileName(.base), id.fileName(.delta)] { #expect(SnapshotFileName(name)?.id == id) }
    #expect(SnapshotFileName(id.fileName(.base))?.content == .rows(.base))
    for name in [
      "", "shard-0012", "shard-12/0000000345-ffffffffffffffff.manifest", "shard-0012/345-ffffffffffffffff.manifest",
      "shard-0012/0000000345-FFFFFFFFFFFFFFFF.manifest", "shard-0012/0000000345-ffffffffffffffff-other.rows",
      "shard-0012/0000000345-ffffffffffffffff.manifest.tmp", "shard-70000/0000000345-ffffffffffffffff.manifest",
      "shard-0012/18446744073709551615-ffffffffffffffff.manifest", "x/shard-0012/0000000345-ffffffffffffffff.manifest",
      "shard-0012/0000000345-ffffffffffffffff-base.manifest",
    ] { #expect(SnapshotFileName(name) == nil, "\(name)") }
  }
}

extension StringProtocol {
  fileprivate func firstRange(of other: String) -> Range<Index>? {
    indices.lazy.map { $0 }.first { self[$0...].hasPrefix(other) }.map { $0..<index($0, offsetBy: other.count) }
  }

  fileprivate func replacingCharacters(in range: Range<Index>, with other: String) -> String {
    String(self[..<range.lowerBound]) + other + String(self[range.upperBound...])
  }
}
