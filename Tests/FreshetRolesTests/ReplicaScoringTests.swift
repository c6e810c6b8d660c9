import Dispatch
import FreshetHTTP
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
    let threads = try await ServingThreads.start(
      on: [loop], freshness: FreshnessRecord(), state: nil, answerChecksum: { _ in },
      makeEngine: { try ServeFixture.ready().engine })
    let scoring = ReplicaScoring(model: ServeFixture.model, threads: threads)
    // Nothing is answered until this is signalled, so that every request is in hand at once.
    let gate = DispatchSemaphore(value: 0)
    loop.execute { gate.wait() }
    let beyond = 44
    await withTaskGroup(of: Result<[[Double]], HTTPFailure>.self) { requests in
      for _ in 0..<ReplicaScoring.maximumInHand + beyond {
        requests.addTask {
          do throws(HTTPFailure) {
            return .success(try await scoring.score(Self.request, tasks: ["click"]))
          } catch {
            return .failure(error)
          }
        }
      }
      for _ in 0..<beyond {
        guard case .failure(let refusal) = await requests.next() else {
          Issue.record("a request was answered while the loop stood still")
          continue
        }
        #expect(refusal.kind == .busy)
        #expect(refusal.message.contains("256 requests are in hand"))
      }
      gate.signal()
      var answers: Set<[[Double]]> = []
      for await result in requests {
        guard case .success(let scores) = result else {
          Issue.record("\(result)")
          continue
        }
        answers.insert(scores)
      }
      #expect(answers.count == 1)
    }
    // What was refused or answered is no longer in hand.
    let last = try await scoring.score(Self.request, tasks: ["click"])
    #expect(last.count == 1)
    try await group.shutdownGracefully()
  }
}
