import FreshetCore

/// Progressive validation of one partition and task, in windows of equal size.
///
/// Memory is bounded: when `maximumWindows` are full, neighbours merge and windows become twice as long. So any fraction of
/// the stream can be asked for, to within one window, 1/64 of the stream or less once 64 windows have been filled.
public struct ProgressiveValidation: Sendable, Equatable {
  public static let maximumWindows = 128
  public static let initialWindowSize: UInt64 = 1024

  private var windows: [ValidationWindow] = [ValidationWindow()]
  public private(set) var windowSize = Self.initialWindowSize

  public init() {}

  public var count: UInt64 { windows.reduce(0) { $0 + $1.count } }

  /// Adds one batch: its predictions in order, and their exact sums.
  public mutating func add(_ predictions: some Sequence<Prediction>, loss: Double, predicted: Double) {
    // The sums of a batch go to the window in which it starts; a batch is far smaller than a window.
    if windows[windows.count - 1].count >= windowSize { openWindow() }
    windows[windows.count - 1].addSums(loss: loss, predicted: predicted)
    for prediction in predictions {
      if windows[windows.count - 1].count >= windowSize { openWindow() }
      windows[windows.count - 1].add(prediction)
    }
  }

  private mutating func openWindow() {
    if windows.count == Self.maximumWindows {
      for index in 0..<Self.maximumWindows / 2 {
        windows[index] = windows[2 * index]
        windows[index].merge(windows[2 * index + 1])
      }
      windows.removeLast(Self.maximumWindows / 2)
      windowSize *= 2
    }
    windows.append(ValidationWindow())
  }

  public var total: ValidationWindow { merged(windows[...]) }

  /// The windows that start at or after the middle of the stream.
  public var lastHalf: ValidationWindow {
    let middle = count / 2
    var before: UInt64 = 0
    var first = windows.startIndex
    while first < windows.count - 1 && before < middle {
      before += windows[first].count
      first += 1
    }
    return merged(windows[first...])
  }

  /// The newest full window and what has come since.
  public var recent: ValidationWindow { merged(windows.suffix(2)) }

  // MARK: - Encoding

  /// All windows, exactly: docs/snapshot-format.md.
  public func encode(into writer: inout BinaryWriter) {
    writer.write(windowSize)
    writer.write(UInt32(windows.count))
    for window in windows { window.encode(into: &writer) }
  }

  public init(from reader: inout BinaryReader) throws(MalformedBlob) {
    windowSize = try reader.read()
    guard windowSize >= Self.initialWindowSize, windowSize.nonzeroBitCount == 1, windowSize < 1 << 48 else {
      throw reader.malformed("windows of \(windowSize) examples")
    }
    let count = Int(try reader.read(UInt32.self))
    guard (1...Self.maximumWindows).contains(count) else { throw reader.malformed("\(count) windows") }
    windows = []
    for _ in 0..<count {
      let window = try ValidationWindow(from: &reader)
      guard window.count <= windowSize else {
        throw reader.malformed("a window of \(window.count) examples, at most \(windowSize) fit")
      }
      windows.append(window)
    }
  }

  private func merged(_ windows: ArraySlice<ValidationWindow>) -> ValidationWindow {
    var sum = ValidationWindow()
    for window in windows { sum.merge(window) }
    return sum
  }
}
