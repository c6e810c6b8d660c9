import CXXHash

/// The one hash of the project: XXH3, 64 bits, seed 0 (https://github.com/Cyan4973/xxHash, `XXH3_64bits`).
public enum Hashing {
  @inlinable
  public static func xxh3(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    XXH3_64bits(bytes.baseAddress, bytes.count)
  }

  public static func xxh3(_ text: String) -> UInt64 {
    var text = text
    return text.withUTF8 { xxh3(UnsafeRawBufferPointer($0)) }
  }

  /// The fid of a feature value: XXH3 over the slot's name, one zero byte, and the value's canonical text (UTF-8).
  ///
  /// Integers are written in decimal without leading zeros, so `1`, `"1"` and `01` of an integer field are one fid.
  public static func fid(slot: String, value: String) -> Fid {
    xxh3(slot + "\0" + value)
  }

  /// A bijection of 64-bit integers (the finaliser of MurmurHash3, public domain): spreads ids that are not hashes.
  @inlinable
  public static func mix(_ value: UInt64) -> UInt64 {
    var x = value
    x ^= x >> 33
    x = x &* 0xff51_afd7_ed55_8ccd
    x ^= x >> 33
    x = x &* 0xc4ce_b9fe_1a85_ec53
    x ^= x >> 33
    return x
  }
}
