import FreshetHTTP
import FreshetModel
import FreshetWire
import NIOCore
import Synchronization

/// Hands requests of HTTP to the event loops that answer RESP, in turn.
final class ReplicaScoring: ScoringService {
  /// Requests that wait for a loop or its answer; more are refused.
  static let maximumInHand = 256

  private let threads: ServingThreads
  private let inHand = Atomic<Int>(0)
  private let turn = Atomic<Int>(0)

  /// - Parameter threads: They run until no more is asked of this.
  init(threads: ServingThreads) { self.threads = threads }

  var model: ModelSpec { threads.served.model }

  func score(_ json: ByteBuffer, tasks: [String]) async throws(HTTPFailure) -> VersionedScores {
    let name = model.name
    let models = tasks.map { "\(name):\($0)" }
    return try await ask { endpoint, promise in
      promise.completeWith(Result { try endpoint.score(json, models: models) })
    }
  }

  func recommend(
    task: String, fields: [RequestField], topK: Int, filters: [RequestField], exclude: [String]
  ) async throws(HTTPFailure) -> [(id: String, score: Double)] {
    let name = "\(model.name):\(task)"
    return try await ask { endpoint, promise in
      endpoint.recommend(model: name, fields: fields, topK: topK, filters: filters, exclude: exclude) { result in
        promise.completeWith(result.mapError { $0 as any Error })
      }
    }
  }

  func report() async throws -> RoleReport { try await threads.report() }

  private func ask<Value: Sendable>(
    _ body: @escaping @Sendable (ServeEndpoint, EventLoopPromise<Value>) -> Void
  ) async throws(HTTPFailure) -> Value {
    defer { inHand.subtract(1, ordering: .relaxed) }
    guard inHand.add(1, ordering: .relaxed).newValue <= Self.maximumInHand else {
      throw HTTPFailure(.busy, "\(Self.maximumInHand) requests are in hand, which is the limit; try again later")
    }
    let members = threads.members
    let thread = members[turn.add(1, ordering: .relaxed).oldValue % members.count]
    let promise = thread.loop.makePromise(of: Value.self)
    thread.loop.execute { body(thread.endpoint.value, promise) }
    do {
      return try await promise.futureResult.get()
    } catch let error as WireError {
      throw HTTPFailure(error)
    } catch {
      throw HTTPFailure(.internal, "\(error)")
    }
  }
}
