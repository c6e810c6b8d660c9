import CZstd
import FreshetCore

/// Zstandard blocks (RFC 8878), one frame a block.
public struct ZstdCompressor: BlockCompressor {
  /// 1 is the fastest that still pays on embedding rows; see docs/performance.md.
  public let level: Int32

  /// For snapshots, whose rows come in byte planes: those compress so well that the next faster level makes them smaller
  /// than level 1 makes the rows as they are, in less time; see docs/performance.md.
  public static let forSnapshots = ZstdCompressor(level: -1)

  /// - Parameter level: In `-7...19`, 0 excepted. Below 0 it gives up ratio for speed.
  public init(level: Int32) {
    precondition((-7...19).contains(level) && level != 0)
    self.level = level
  }

  public var formatCode: UInt8 { 1 }

  public func compress(_ block: UnsafeRawBufferPointer) -> [UInt8] {
    let bound = ZSTD_compressBound(block.count)
    return [UInt8](unsafeUninitializedCapacity: bound) { buffer, count in
      let written = ZSTD_compress(buffer.baseAddress, bound, block.baseAddress, block.count, level)
      // With room for the bound, the only failure left is a lack of memory.
      precondition(ZSTD_isError(written) == 0, "zstd: \(String(cString: ZSTD_getErrorName(written)))")
      count = written
    }
  }

  public func decompress(_ bytes: UnsafeRawBufferPointer, count: Int) throws(MalformedBlob) -> [UInt8] {
    var written = 0
    let output = [UInt8](unsafeUninitializedCapacity: max(1, count)) { buffer, initialized in
      written = ZSTD_decompress(buffer.baseAddress, count, bytes.baseAddress, bytes.count)
      initialized = ZSTD_isError(written) == 0 ? min(written, count) : 0
    }
    guard ZSTD_isError(written) == 0 else {
      throw MalformedBlob(
        what: "zstd block", position: 0, reason: String(cString: ZSTD_getErrorName(written)))
    }
    guard written == count else {
      throw MalformedBlob(what: "zstd block", position: 0, reason: "\(written) bytes came out, \(count) expected")
    }
    return output
  }
}
