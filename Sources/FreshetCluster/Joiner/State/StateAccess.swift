import FreshetCore

/// One partition's disk, and the first error that it gave: from then on nothing that the partition says counts.
final class StateAccess {
  let store: any JoinerStateStore
  private(set) var failure: JoinerStateError?

  init(_ store: any JoinerStateStore) { self.store = store }

  func fail(_ error: JoinerStateError) {
    if failure == nil { failure = error }
  }

  func lookUp(_ requestHashes: UnsafeBufferPointer<UInt64>, _ body: (Int, UnsafeRawBufferPointer) -> Void) {
    guard failure == nil else { return }
    do throws(JoinerStateError) { try store.lookUp(requestHashes, body) } catch { fail(error) }
  }

  /// - Parameter body: Returns whether to go on; what it throws is remembered and ends the scan.
  func scan(
    _ family: JoinerStateFamily, from start: [UInt8],
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(JoinerStateError) -> Bool
  ) {
    guard failure == nil else { return }
    var found: JoinerStateError?
    do throws(JoinerStateError) {
      try store.scan(family, from: start) { key, value in
        do throws(JoinerStateError) {
          return try body(key, value)
        } catch {
          found = error
          return false
        }
      }
    } catch { fail(error) }
    if let found { fail(found) }
  }
}
