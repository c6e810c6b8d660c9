import FreshetCore

/// A file of an archive, read from its beginning: sections, and what lies between them.
final class ArchiveSource {
  struct Section {
    let kind: ArchiveSection.Kind
    /// Where it begins.
    let start: Int
    let bytes: [UInt8]
    let checksum: UInt64
  }

  let name: String
  private let reader: any FileStoreReader
  private(set) var position = 0

  /// - Parameter name: For messages.
  init(name: String, reader: any FileStoreReader) {
    self.name = name
    self.reader = reader
  }

  func malformed(_ reason: String, at position: Int) -> ArchiveError {
    ArchiveError(.malformed, "\(name): byte \(position): \(reason)")
  }

  func section() throws(ArchiveError) -> Section {
    let start = position
    let head = try read(ArchiveSection.headBytes)
    func word(_ index: Int) -> UInt32 {
      head.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)) }
    }
    let size = Int(word(1))
    guard word(0) == ArchiveSection.magic, let kind = ArchiveSection.Kind(rawValue: word(2)) else {
      throw malformed("no section begins here", at: start)
    }
    let isRight =
      switch kind {
      case .header:
        (0...ArchiveSection.topicBytes).contains(
          size - ArchiveSection.headerFixedBytes - 2 - ArchiveSection.checksumBytes)
      case .block: size == ArchiveSection.blockContentBytes
      case .footer: size == ArchiveSection.footerContentBytes
      }
    guard isRight else { throw malformed("a section of \(size) bytes", at: start) }
    let bytes = head + (try read(size - 4))
    let (computed, stored) = bytes.withUnsafeBytes { all in
      let end = all.count - ArchiveSection.checksumBytes
      return (
        Hashing.xxh3(UnsafeRawBufferPointer(rebasing: all[..<end])),
        UInt64(littleEndian: all.loadUnaligned(fromByteOffset: end, as: UInt64.self))
      )
    }
    guard computed == stored else { throw malformed("the checksum of a section does not match", at: start) }
    return Section(kind: kind, start: start, bytes: bytes, checksum: stored)
  }

  /// Reads what is between kind and checksum.
  func parse<T>(
    _ section: Section, _ body: (inout BinaryReader) throws(MalformedBlob) -> T
  ) throws(ArchiveError) -> T {
    do throws(MalformedBlob) {
      return try section.bytes.reading { (bytes) throws(MalformedBlob) in
        let content = bytes[ArchiveSection.headBytes..<bytes.count - ArchiveSection.checksumBytes]
        var reader = BinaryReader(
          UnsafeRawBufferPointer(rebasing: content), what: "\(name) at byte \(section.start)")
        let result = try body(&reader)
        try reader.finish()
        return result
      }
    } catch {
      throw ArchiveError(.malformed, error.description)
    }
  }

  /// The next `count` bytes.
  func read(_ count: Int) throws(ArchiveError) -> [UInt8] {
    guard count <= reader.sizeBytes - position else {
      throw malformed("\(count) bytes expected, \(max(0, reader.sizeBytes - position)) left", at: position)
    }
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let got: Int
      do throws(FileStoreError) {
        got = try read(into: &bytes, at: filled)
      } catch {
        throw ArchiveError(error)
      }
      guard got > 0 else { throw malformed("the file ends here", at: position + filled) }
      filled += got
    }
    position += count
    return bytes
  }

  private func read(into bytes: inout [UInt8], at start: Int) throws(FileStoreError) -> Int {
    let result = bytes.withUnsafeMutableBytes { bytes in
      Result { () throws(FileStoreError) in
        try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
      }
    }
    return try result.get()
  }

  func isAtEnd() throws(ArchiveError) -> Bool {
    var byte: [UInt8] = [0]
    do throws(FileStoreError) {
      return try read(into: &byte, at: 0) == 0
    } catch {
      throw ArchiveError(error)
    }
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` whose error keeps its type.
  func reading<T, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> T) throws(E) -> T {
    let result = withUnsafeBytes { bytes in
      Result { () throws(E) in try body(bytes) }
    }
    return try result.get()
  }
}
