import FreshetCore
import Testing

@Suite struct BackoffTests {
  @Test func waitsGrowStayUnderTheCapAndStartOverAfterReset() {
    var backoff = Backoff(baseMs: 100, capMs: 5_000, seed: 1)
    let waits = (0..<200).map { _ in backoff.next() }
    #expect(waits.allSatisfy { $0 >= 50 && $0 <= 5_000 })
    #expect(waits.suffix(100).max()! > 2_500)
    backoff.reset()
    #expect(backoff.next() <= 100)
  }

  @Test func theSameSeedGivesTheSameWaits() {
    var a = Backoff(baseMs: 10, capMs: 1_000, seed: 7)
    var b = Backoff(baseMs: 10, capMs: 1_000, seed: 7)
    #expect((0..<20).map { _ in a.next() } == (0..<20).map { _ in b.next() })
  }
}
