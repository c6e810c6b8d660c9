import FreshetCore

/// What `freshet inspect` is asked for.
public struct InspectOptions: Sendable {
  /// A store of snapshots, a manifest or a data file.
  public var path: String
  /// Reads everything and compares checksums.
  public var verify: Bool
  /// Rows of a data file to show.
  public var rows: Int
  /// Shows rows of this table only; nil for all.
  public var table: String?
  /// Shows the row of this fid only; nil for any.
  public var fid: Fid?

  public init(path: String, verify: Bool, rows: Int, table: String?, fid: Fid?) {
    self.path = path
    self.verify = verify
    self.rows = rows
    self.table = table
    self.fid = fid
  }

  /// A path as a store and a file in it; the file is nil if the path is a directory.
  ///
  /// A file in the directory of its shard is looked at in its store, where its manifest says it is; elsewhere by itself.
  public static func split(path: String, isDirectory: Bool) -> (store: String, file: String?) {
    guard !isDirectory else { return (path, nil) }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    let inStore = parts.suffix(2).joined(separator: "/")
    if parts.count > 2 || path.hasPrefix("/"), parts.count >= 2, parts[parts.count - 2].hasPrefix("shard-") {
      let store = parts.dropLast(2).joined(separator: "/")
      return (store.isEmpty ? "/" : store, inStore)
    }
    if parts.count == 2, parts[0].hasPrefix("shard-") { return (".", inStore) }
    let directory = parts.dropLast().joined(separator: "/")
    return (directory.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : directory, parts[parts.count - 1])
  }
}
