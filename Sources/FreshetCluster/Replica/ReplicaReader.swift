import FreshetCore
import FreshetModel
import FreshetTable

/// One thread's way to read a replica's copy while another thread changes it. Made by `Replica.makeReader`.
///
/// Not thread-safe: each serving thread has its own.
public final class ReplicaReader {
  private let content: ReplicaContent
  private let number: Int
  private var isInside = false

  init(content: ReplicaContent) {
    self.content = content
    number = content.gate.addReader()
  }

  public var tables: ModelTables { content.tables }
  public var shardCount: Int { content.shardCount }

  /// Whether every shard has been copied completely at least once; once true, it stays so.
  public var isReady: Bool { content.isReady.load(ordering: .acquiring) }

  /// What the thread that keeps the copy up to date published last.
  public var status: ReplicaStatus { content.status.withLock { $0 } }

  /// Nothing of the replica changes while `body` runs, nor anything else that is changed inside `Replica.write`.
  ///
  /// Short, such as one request's gathering: the copy does not change meanwhile. It neither waits for other readers nor makes
  /// them wait.
  /// - Precondition: Not inside another `read` of this reader.
  @inline(__always)
  public func read<Result, Failure: Error>(
    _ body: (ReplicaView) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(!isInside, "a read inside a read")
    isInside = true
    content.gate.enter(number)
    defer {
      content.gate.leave(number)
      isInside = false
    }
    return try body(ReplicaView(content: content))
  }

  /// One row's weights as scores use them, and whether the row exists.
  public func row(table name: String, fid: Fid) throws(ClusterError) -> (weights: [Float], exists: Bool) {
    let table = try content.tables.position(ofTable: name)
    return read { $0.weights(table: table, fid: fid) }
  }
}

/// Makes the readers of one replica, on any thread.
public struct ReplicaReaders: Sendable {
  let content: ReplicaContent

  /// What the thread that keeps the copy up to date published last.
  public var status: ReplicaStatus { content.status.withLock { $0 } }

  /// A reader for one thread. A replica has at most 128.
  public func makeReader() -> ReplicaReader { ReplicaReader(content: content) }
}

/// A replica's rows, as they are during one `ReplicaReader.read`.
public struct ReplicaView {
  let content: ReplicaContent

  /// Rises whenever a row of the dense table changes.
  public var denseVersion: UInt64 { content.denseVersion }

  /// Rises whenever a row of any table changes.
  public var rowsVersion: UInt64 { content.rowsVersion }

  /// Copies one row's weights, or the initial value where it does not exist.
  /// - Parameters:
  ///   - table: Position in `ModelTables.layouts`.
  ///   - output: Room for the table's width.
  /// - Returns: Whether the row exists.
  @inline(__always)
  public func copyWeights(table: Int, fid: Fid, into output: UnsafeMutablePointer<Float>) -> Bool {
    content.embedding(table, of: fid).copyWeights(of: fid, into: output)
  }

  /// Whether a row exists.
  public func contains(table: Int, fid: Fid) -> Bool { content.embedding(table, of: fid).contains(fid) }

  func weights(table: Int, fid: Fid) -> (weights: [Float], exists: Bool) {
    content.embedding(table, of: fid).weights(fid)
  }
}
