/// A log cut where event time enters another window of a fixed length, such as an hour of the clock.
///
/// Event time never goes back: an example that is older than one before it belongs to that one's window.
struct EventWindows {
  struct Window: Equatable {
    /// Counted from 1970 in lengths of a window.
    var number: Int64
    /// Of examples; not empty.
    var range: Range<Int>
  }

  let lengthMs: Int64
  /// Those that hold examples, in order.
  let windows: [Window]

  /// - Parameters:
  ///   - times: Of all examples of the log, in ms.
  ///   - range: Those that are cut up.
  init(_ times: [Int64], in range: Range<Int>, lengthMs: Int64) {
    precondition(lengthMs > 0)
    self.lengthMs = lengthMs
    var windows: [Window] = []
    for example in range {
      let number = Self.number(ofMs: times[example], lengthMs: lengthMs)
      if let last = windows.last, last.number >= number {
        windows[windows.count - 1].range = last.range.lowerBound..<example + 1
      } else {
        windows.append(Window(number: number, range: example..<example + 1))
      }
    }
    self.windows = windows
  }

  /// The number of the window, of any length, in which one of these windows begins.
  func number(of window: Window, ofLengthMs length: Int64) -> Int64 {
    Self.number(ofMs: window.number * lengthMs, lengthMs: length)
  }

  private static func number(ofMs time: Int64, lengthMs: Int64) -> Int64 {
    let quotient = time / lengthMs
    return time % lengthMs < 0 ? quotient - 1 : quotient
  }
}
