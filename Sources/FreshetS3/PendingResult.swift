import Dispatch
import FreshetCore
import Synchronization

/// Blocking work that another thread does.
final class PendingResult<Value: Sendable>: Sendable {
  private let result = Mutex<Result<Value, FileStoreError>?>(nil)
  private let done = DispatchSemaphore(value: 0)

  init(_ work: @escaping @Sendable () throws(FileStoreError) -> Value) {
    DispatchQueue.global().async { [self] in
      let outcome: Result<Value, FileStoreError>
      do throws(FileStoreError) {
        outcome = .success(try work())
      } catch {
        outcome = .failure(error)
      }
      result.withLock { $0 = outcome }
      done.signal()
    }
  }

  /// May be called more than once.
  func wait() -> Result<Value, FileStoreError> {
    done.wait()
    defer { done.signal() }
    return result.withLock { $0! }
  }
}
