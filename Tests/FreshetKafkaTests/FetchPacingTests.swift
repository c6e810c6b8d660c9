import Testing

@testable import FreshetKafka

struct FetchPacingTests {
  @Test func onlyShortAndQuickAnswersToFetchesArePausedAfter() {
    #expect(FetchPacing.isIdle(apiKey: 1, bytes: 76, roundTripMicroseconds: 80))
    #expect(!FetchPacing.isIdle(apiKey: 1, bytes: 76, roundTripMicroseconds: 20_000), "the broker waited")
    #expect(!FetchPacing.isIdle(apiKey: 1, bytes: 50_000, roundTripMicroseconds: 80), "there were records")
    #expect(!FetchPacing.isIdle(apiKey: 12, bytes: 6, roundTripMicroseconds: 80), "a heartbeat")
  }

  @Test func thePauseIsATenthOfTheWaitAndNeverNone() {
    #expect(FetchPacing.pauseMs(fetchWaitMs: 100) == 10)
    #expect(FetchPacing.pauseMs(fetchWaitMs: 20) == 2)
    #expect(FetchPacing.pauseMs(fetchWaitMs: 1) == 1)
  }
}
