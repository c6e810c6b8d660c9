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
  ///   - numbers: Room for as many, for the rows that are on their way.
  ///   - output: A row's weights for each request, `stride` floats apart; what lies behind them is left alone.
  ///   - found: Whether each row exists.
  public static func copyRows(
    _ requests: UnsafeBufferPointer<RowRequest>, of tables: UnsafePointer<Unmanaged<EmbeddingTable>>,
    numbers: UnsafeMutablePointer<UInt32>, into output: UnsafeMutablePointer<Float>, stride: Int,
    found: UnsafeMutablePointer<Bool>
  ) {
    var first = 0
    while first < requests.count {
      let end = min(requests.count, first &+ rowsAhead)
      for position in first..<end {
        let request = requests[position]
        tables[request.table]._withUnsafeGuaranteedRef { $0.prefetch(request.fid) }
      }
      for position in first..<end {
        let request = requests[position]
        numbers[position] = tables[request.table]._withUnsafeGuaranteedRef { $0.locate(request.fid) }
      }
      for position in first..<end {
        let request = requests[position]
        let row = numbers[position]
        found[position] = row != TableCore.noRow
        let target = output + position &* stride
        tables[request.table]._withUnsafeGuaranteedRef { $0.copy(row, of: request.fid, into: target) }
      }
      first = end
    }
  }

  @inline(__always)
  private func prefetch(_ fid: Fid) { core.index.prefetch(fid) }

  /// Finds a row and begins to fetch it.
  @inline(__always)
  private func locate(_ fid: Fid) -> UInt32 {
    let row = core.find(fid)
    if row != TableCore.noRow { core.store.addresses.fetch(core.store.row(row), bytes: 0..<core.shape.weightBytes) }
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
