import FreshetCore

/// Counts fids in a fixed number of bytes: a count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update
/// (Estan and Varghese, 2002), whose four counters for a fid lie in one cache line, and which forgets as it goes.
///
/// A counter is a byte. An estimate is never below the true count of what the sketch still remembers; it is above it when
/// all four counters are shared with other fids. Every eighth addition halves the next line, so that each counter is halved
/// once in `sizeBytes / 8` additions: that bounds how full the sketch gets, and with it the error.
struct CountingSketch: ~Copyable {
  static let lineBytes = 64
  private static let additionsPerHalvedLine = 8

  let memory: PageMemory
  let lineCount: Int
  var additions = 0
  var nextLine = 0
  /// The pages of a cut that are yet to be delivered begin here; `.max` without one.
  var cutPage = Int.max
  /// By page: what it held at the cut, if it has changed since.
  var savedPages: [[UInt8]] = []
  var savedBytes = 0

  /// - Parameter sizeBytes: Rounded down to whole cache lines; 0 for a sketch that is not used.
  init(sizeBytes: Int) {
    lineCount = sizeBytes / Self.lineBytes
    memory = PageMemory(sizeBytes: lineCount * Self.lineBytes, hugeFrom: 0)
  }

  var sizeBytes: Int { memory.sizeBytes }

  /// Counts one occurrence.
  /// - Returns: How often the fid has occurred, this time included, in `1...255`.
  mutating func add(_ fid: Fid) -> Int {
    precondition(lineCount > 0, "the sketch has no memory")
    age()
    // Not the hash of shard and index, whose bits are alike among the fids of a shard.
    let hash = Hashing.mix(fid &+ 0x9e37_79b9_7f4a_7c15)
    let number = Int((hash >> 32).multipliedReportingOverflow(by: UInt64(lineCount)).partialValue >> 32)
    let line = counters(number)
    // Four bits of the hash choose a counter in each quarter of the line.
    let positions = (
      Int(hash & 15), 16 + Int(hash >> 4 & 15), 32 + Int(hash >> 8 & 15), 48 + Int(hash >> 12 & 15)
    )
    let least = min(line[positions.0], line[positions.1], line[positions.2], line[positions.3])
    guard least < .max else { return 255 }
    save(line: number)
    if line[positions.0] == least { line[positions.0] = least + 1 }
    if line[positions.1] == least { line[positions.1] = least + 1 }
    if line[positions.2] == least { line[positions.2] = least + 1 }
    if line[positions.3] == least { line[positions.3] = least + 1 }
    return Int(least) + 1
  }

  private mutating func age() {
    additions &+= 1
    guard additions % Self.additionsPerHalvedLine == 0 else { return }
    save(line: nextLine)
    UnsafeMutableRawPointer(counters(nextLine)).withMemoryRebound(to: UInt64.self, capacity: 8) { words in
      for word in 0..<8 { words[word] = words[word] >> 1 & 0x7f7f_7f7f_7f7f_7f7f }
    }
    nextLine = nextLine + 1 == lineCount ? 0 : nextLine + 1
  }

  private func counters(_ line: Int) -> UnsafeMutablePointer<UInt8> {
    (memory.start + line * Self.lineBytes).assumingMemoryBound(to: UInt8.self)
  }
}
