import CIntrinsics
import FreshetCore

/// One row that is wanted of a list of tables.
public struct RowRequest: Sendable, BitwiseCopyable {
  public var fid: Fid
  /// Position in the list of tables.
  public var table: Int

  public init(fid: Fid, table: Int) {
    self.fid = fid
    self.table = table
  }
}

extension EmbeddingTable {
  /// Rows that are sought together.
  private static let rowsAhead = 64

  /// Copies rows of several tables, or their initial values, while memory is fetched for those to come.
  ///
  /// Changes nothing, not even memory of the tables' own: any number of threads may do so at once, as long as none changes the
  /// tables.
  /// - Parameters:
  ///   - requests: Need not be distinct.
  ///   - output: A row's weights for each request, `stride` floats apart; what lies behind them is left alone.
  ///   - found: Whether each row exists.
  public static func copyRows(
    _ requests: UnsafeBufferPointer<RowRequest>, of tables: UnsafePointer<Unmanaged<EmbeddingTable>>,
    into output: UnsafeMutablePointer<Float>, stride: Int, found: UnsafeMutablePointer<Bool>
  ) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: rowsAhead) { rows in
      var first = 0
      while first < requests.count {
        let count = min(rowsAhead, requests.count &- first)
        let chunk = requests.baseAddress.unsafelyUnwrapped + first
        let numbers = rows.baseAddress.unsafelyUnwrapped
        for position in 0..<count {
          let fid = chunk[position].fid
          tables[chunk[position].table]._withUnsafeGuaranteedRef { $0.core.index.prefetch(fid) }
        }
        for position in 0..<count {
          let fid = chunk[position].fid
          numbers[position] = tables[chunk[position].table]._withUnsafeGuaranteedRef { $0.locate(fid) }
        }
        for position in 0..<count {
          let fid = chunk[position].fid
          let row = numbers[position]
          found[first &+ position] = row != TableCore.noRow
          tables[chunk[position].table]._withUnsafeGuaranteedRef {
            $0.copy(row, of: fid, into: output + (first &+ position) &* stride)
          }
        }
        first &+= count
      }
    }
  }

  /// Finds a row and begins to fetch it.
  @inline(__always)
  private func locate(_ fid: Fid) -> UInt32 {
    let row = core.find(fid)
    if row != TableCore.noRow { core.store.prefetch(row, bytes: core.shape.weightBytes, touches: false) }
    return row
  }

  @inline(__always)
  private func copy(_ row: UInt32, of fid: Fid, into output: UnsafeMutablePointer<Float>) {
    if row == TableCore.noRow {
      layout.initializer.write(fid: fid, width: layout.width, into: output)
    } else {
      core.loadWeights(row, into: output)
    }
  }
}
