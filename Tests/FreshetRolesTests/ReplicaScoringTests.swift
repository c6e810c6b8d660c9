import Dispatch
import FreshetHTTP
import FreshetWire
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import FreshetRoles

@Suite struct ReplicaScoringTests {
  private static let request = ByteBuffer(
    string: #"{"context":{"user_id":2,"gender":"F","age":25,"zip":"48067"},"candidates":[{"item_id":9}]}"#)

  @Test func requestsBeyondTheBoundAreRefusedAndTheOthersAnswered() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    // It has no rows: what is asked of it is answered with `LOADING`.
    let model = try await ServedModel.open(
      try ServeRoleTests.configuration(serverPorts: [1]), directory: nil, items: GivenItems([]),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let threads = try await ServingThreads.start(
      on: [loop], serving: model, limits: ServingLimits(maxCandidates: 10))
    let scoring = ReplicaScoring(threads: threads)
    // Nothing is answered until this is signalled, so that every request is in hand at once.
    let gate = DispatchSemaphore(value: 0)
    loop.execute { gate.wait() }
    let beyond = 44
    await withTaskGroup(of: HTTPFailure.Kind?.self) { requests in
      for _ in 0..<ReplicaScoring.maximumInHand + beyond {
        requests.addTask { await Self.refusal(of: scoring) }
      }
      for _ in 0..<beyond { #expect(await requests.next() == .busy) }
      gate.signal()
      var answered = 0
      for await refusal in requests {
        #expect(refusal == .loading)
        answered += 1
      }
      #expect(answered == ReplicaScoring.maximumInHand)
    }
    // What was refused or answered is no longer in hand.
    #expect(await Self.refusal(of: scoring) == .loading)
    await model.stop()
    try await model.close()
    try await group.shutdownGracefully()
  }

  private static func refusal(of scoring: ReplicaScoring) async -> HTTPFailure.Kind? {
    do throws(HTTPFailure) {
      _ = try await scoring.score(request, tasks: ["click"])
      return nil
    } catch {
      return error.kind
    }
  }
}
