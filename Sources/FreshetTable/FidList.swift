import FreshetCore

/// Fids in the order of their arrival. Grows by whole chunks: adding to it never copies what is there.
struct FidList {
  private static let chunkLength = 4096

  private var chunks: [[Fid]] = []

  var count: Int { chunks.isEmpty ? 0 : (chunks.count - 1) * Self.chunkLength + chunks[chunks.count - 1].count }

  mutating func append(_ fid: Fid) {
    if chunks.isEmpty || chunks[chunks.count - 1].count == Self.chunkLength {
      var chunk: [Fid] = []
      chunk.reserveCapacity(Self.chunkLength)
      chunks.append(chunk)
    }
    chunks[chunks.count - 1].append(fid)
  }

  /// All of them, a chunk at a time; forgets them.
  mutating func takeChunks() -> [[Fid]] {
    defer { chunks = [] }
    return chunks
  }

  mutating func removeAll() { chunks = [] }

  /// All of them, without repetitions, ascending; forgets them.
  mutating func takeDistinct() -> [Fid] {
    var all = chunks.flatMap { $0 }
    chunks.removeAll(keepingCapacity: true)
    all.sort()
    var kept = 0
    for fid in all where kept == 0 || all[kept - 1] != fid {
      all[kept] = fid
      kept += 1
    }
    all.removeSubrange(kept...)
    return all
  }
}
