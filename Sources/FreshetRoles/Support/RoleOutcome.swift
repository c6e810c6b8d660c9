import NIOConcurrencyHelpers
import ServiceLifecycle

/// How a role ends: the first of a graceful shutdown, a finished thread and a failure. Safe from any thread.
public final class RoleOutcome: Sendable {
  private enum State {
    case open
    case waited(CheckedContinuation<Void, any Error>)
    case ended(Result<Void, any Error>)
  }

  private let state = NIOLockedValueBox(State.open)

  public init() {}

  public func finish() { end(.success(())) }

  public func fail(_ error: any Error) { end(.failure(error)) }

  /// Whether the role should stop: for loops on threads of their own.
  public var isEnded: Bool {
    state.withLockedValue { if case .ended = $0 { true } else { false } }
  }

  /// Returns when the role is asked to stop; throws what it failed with.
  public func wait() async throws {
    try await withGracefulShutdownHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result: Result<Void, any Error>? = state.withLockedValue { state in
          if case .ended(let result) = state { return result }
          state = .waited(continuation)
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onGracefulShutdown: {
      self.finish()
    }
  }

  private func end(_ result: Result<Void, any Error>) {
    let waiting: CheckedContinuation<Void, any Error>? = state.withLockedValue { state in
      switch state {
      case .open:
        state = .ended(result)
        return nil
      case .waited(let continuation):
        state = .ended(result)
        return continuation
      case .ended:
        return nil
      }
    }
    waiting?.resume(with: result)
  }
}
