import FreshetCore
import FreshetTable

extension ReplicaView {
  /// Copies many rows' weights, or their initial values; memory is fetched ahead.
  /// - Parameters:
  ///   - requests: From `request`.
  ///   - numbers: Room for one for each request.
  ///   - output: A row's weights for each request, `stride` floats apart.
  ///   - found: Whether each row exists.
  func gather(
    _ requests: UnsafeBufferPointer<RowRequest>, numbers: UnsafeMutablePointer<UInt32>,
    into output: UnsafeMutablePointer<Float>, stride: Int, found: UnsafeMutablePointer<Bool>
  ) {
    guard !requests.isEmpty else { return }
    content.embeddings.withUnsafeBufferPointer { tables in
      // An array of objects is one of references; counting them for each row would cost more than the row.
      tables.baseAddress.unsafelyUnwrapped.withMemoryRebound(to: Unmanaged<EmbeddingTable>.self, capacity: tables.count)
      {
        EmbeddingTable.copyRows(requests, of: $0, numbers: numbers, into: output, stride: stride, found: found)
      }
    }
  }

  /// Where the row of a fid is sought.
  /// - Parameters:
  ///   - table: Position in `ModelTables.layouts`.
  ///   - tableCount, shardCount: Of the replica.
  @inline(__always)
  static func request(_ fid: Fid, table: Int, tableCount: Int, shardCount: Int) -> RowRequest {
    RowRequest(fid: fid, table: ShardMap.shardIndex(of: fid, shardCount: shardCount) &* tableCount &+ table)
  }
}
