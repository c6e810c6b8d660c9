import FreshetCore

/// Tries a store out: writes files, finds them in the list, reads them back and removes them.
public struct StoreCheck {
  public struct Report {
    public let store: String
    public let files: Int
    public let bytes: Int
    public let writeSeconds: Double
    public let readSeconds: Double

    public var text: String {
      func speed(_ seconds: Double) -> String {
        "\((Double(files * bytes) / 1e5 / max(seconds, 1e-9)).rounded() / 10) MB/s"
      }
      return "\(store): \(files) files of \(bytes) bytes written at \(speed(writeSeconds)), "
        + "listed, read back at \(speed(readSeconds)) and removed"
    }
  }

  private static let chunkBytes = 1 << 20

  private let store: any FileStore
  private let names: [String]
  private let bytes: Int

  public init(store: any FileStore, files: Int, bytes: Int) {
    self.store = store
    self.bytes = bytes
    let run = String(UInt64.random(in: 0 ... .max), radix: 36)
    names = (0..<files).map { "check-\(run)/\($0)" }
  }

  /// - Throws: `FileStoreError`, also if something else came back than was written. What was written is removed all the same.
  public func run() throws(FileStoreError) -> Report {
    do throws(FileStoreError) {
      let begin = Instant.now()
      for number in names.indices { try write(number) }
      let written = Instant.now()
      let listed = try store.list(prefix: "\(names[0].dropLast())")
      let expected = names.map { StoredFile(name: $0, sizeBytes: bytes) }
      guard Set(listed) == Set(expected) else {
        throw FileStoreError(.failed, "\(store.description): wrote \(names.count) files, the list has \(listed.count)")
      }
      let read = Instant.now()
      for number in names.indices { try compare(number) }
      let compared = Instant.now()
      for name in names { try store.remove(name) }
      guard try store.list(prefix: "\(names[0].dropLast())").isEmpty else {
        throw FileStoreError(.failed, "\(store.description): removed files are still listed")
      }
      return Report(
        store: store.description, files: names.count, bytes: bytes,
        writeSeconds: written.milliseconds(since: begin) / 1000,
        readSeconds: compared.milliseconds(since: read) / 1000)
    } catch {
      for name in names { try? store.remove(name) }
      throw error
    }
  }

  private func write(_ number: Int) throws(FileStoreError) {
    let writer = try store.create(names[number])
    do throws(FileStoreError) {
      var content = Content(number)
      for start in stride(from: 0, to: bytes, by: Self.chunkBytes) {
        let chunk = content.next(min(Self.chunkBytes, bytes - start))
        let result = chunk.withUnsafeBytes { raw in Result { () throws(FileStoreError) in try writer.write(raw) } }
        try result.get()
      }
      try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
  }

  private func compare(_ number: Int) throws(FileStoreError) {
    let reader = try store.open(names[number])
    var content = Content(number)
    var buffer = [UInt8](repeating: 0, count: Self.chunkBytes)
    var position = 0
    while true {
      let result = buffer.withUnsafeMutableBytes { raw in
        Result { () throws(FileStoreError) in try reader.read(into: raw) }
      }
      let count = try result.get()
      guard content.next(count)[...] == buffer[..<count] else {
        throw FileStoreError(
          .failed, "\(store.description)/\(names[number]): other bytes came back from \(position) on than were written")
      }
      position += count
      if count < buffer.count { break }
    }
    guard position == bytes else {
      throw FileStoreError(.failed, "\(store.description)/\(names[number]): \(position) of \(bytes) bytes came back")
    }
  }

  /// Bytes that differ between files and do not compress.
  private struct Content {
    private var generator: SeededGenerator

    init(_ number: Int) { generator = SeededGenerator(seed: UInt64(number)) }

    /// The same for the same sequence of calls.
    mutating func next(_ count: Int) -> [UInt8] {
      var words = (0..<count / 8 + 1).map { _ in generator.next() }
      return words.withUnsafeMutableBytes { Array($0[..<count]) }
    }
  }
}
