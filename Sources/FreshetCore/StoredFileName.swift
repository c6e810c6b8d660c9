/// What a name in a `FileStore` may look like, the same for every kind of store.
public enum StoredFileName {
  public static let maximumBytes = 900
  public static let maximumPartBytes = 240

  /// Parts of `A-Z a-z 0-9 . _ - = +`, none of them empty or beginning with a dot, with `/` between them: no path that leaves a
  /// directory.
  public static func isValid(_ name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= maximumBytes else { return false }
    return name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
      isValid(part: $0)
    }
  }

  public static func isValid(part: some Collection<UInt8>) -> Bool {
    guard let first = part.first, first != UInt8(ascii: "."), part.count <= maximumPartBytes else { return false }
    return part.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
        UInt8(ascii: "="), UInt8(ascii: "+"):
        true
      default: false
      }
    }
  }

  /// Names come from manifests too, so a bad one is an error and no trap.
  public static func check(_ name: String, of store: String) throws(FileStoreError) {
    guard !isValid(name) else { return }
    throw FileStoreError(
      .failed,
      "\(store): `\(name)` cannot be the name of a file: parts of A-Z a-z 0-9 . _ - = + that do not begin with a dot, "
        + "with / between them, \(maximumBytes) bytes in all")
  }
}
