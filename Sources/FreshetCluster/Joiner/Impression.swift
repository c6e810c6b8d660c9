import FreshetCore

/// An impression: what is kept of a `features` record.
struct Impression: BitwiseCopyable {
  var requestHash: UInt64
  var itemHash: UInt64
  var timeMs: Int64
  var appendTimeMs: Int64
  var offset: Int64
  /// The request's part, then the user's and the item's key.
  var block: UnsafeMutableRawPointer
  var chunk: Int32
  var partCount: Int32
  var userKeyCount: UInt16
  var itemKeyCount: UInt16
  /// Bit `n`: an action of kind `n` has been seen.
  var seen: UInt16 = 0
  /// Bit `n`: the actions seen make a positive of task `n`.
  var positives: UInt16 = 0
  /// Where the store has it.
  var place = Place()

  struct Place: OptionSet, BitwiseCopyable {
    var rawValue: UInt8 = 0
    /// Differs from what is on disk.
    static let changed = Place(rawValue: 1)
    /// Read from disk: not in the order of arrival.
    static let loaded = Place(rawValue: 2)
  }

  var blockByteCount: Int { Int(partCount) + Int(userKeyCount) + Int(itemKeyCount) }
  var part: UnsafeRawPointer { UnsafeRawPointer(block) }
  var userKey: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: block + Int(partCount), count: Int(userKeyCount))
  }
  var itemKey: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: block + Int(partCount) + Int(userKeyCount), count: Int(itemKeyCount))
  }
}
