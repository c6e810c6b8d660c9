import FreshetCluster
import FreshetCore
import NIOCore
import Testing

@testable import FreshetRoles

@Suite struct JoinerStatusTests {
  @Test func whatPartitionsAndThoseThatHaveGoneCountedAddsUp() {
    let status = JoinerStatus()
    var counters = JoinerCounters()
    counters.matched = 3
    counters.expired = 2
    counters.late = 1
    counters.corrections = 1
    counters.deadLetters[DeadLetterReason.allCases.firstIndex(of: .orphanAction)!] = 4
    for delay in [0, 700, 90_000] as [Int64] { counters.joinDelays.add(delay) }
    let now = UnixTime.now().milliseconds
    status.update {
      $0.partitions[PartitionID(0)] = JoinerStatus.Partition(counters: counters, streamTimeMs: now - 5_000)
      $0.partitions[PartitionID(1)] = JoinerStatus.Partition(counters: counters)
      $0.retired.add(counters)
    }
    let info = status.info.text(section: nil)
    for line in ["matched:9", "expired:6", "late:3", "corrections:3", "orphaned:12", "dead_lettered:12", "count:9"] {
      #expect(info.contains("\r\n\(line)\r\n"), "\(line)")
    }
    #expect(info.contains("partition_1:joined=0,stream_time_ms=none,watermark_lag_ms=none"))
    let metrics = String(buffer: status.info.prometheus(.freshet))
    #expect(metrics.contains("freshet_joiner_matched_actions_total 9\n"))
    #expect(metrics.contains("freshet_joiner_join_delay_seconds_bucket{le=\"0\"} 3\n"))
    #expect(metrics.contains("freshet_joiner_join_delay_seconds_bucket{le=\"0.5\"} 3\n"))
    #expect(metrics.contains("freshet_joiner_join_delay_seconds_bucket{le=\"1\"} 6\n"))
    #expect(metrics.contains("freshet_joiner_join_delay_seconds_bucket{le=\"+Inf\"} 9\n"))
    #expect(metrics.contains("freshet_joiner_join_delay_seconds_sum 272.1\n"))
    #expect(metrics.contains("freshet_joiner_join_delay_seconds_count 9\n"))
    #expect(info.contains("\r\nbuckets:le_0=3,le_1=3,"))
    #expect(metrics.contains("freshet_joiner_event_time_lag_seconds{partition=\"0\"} 5"))
    #expect(!metrics.contains("event_time_lag_seconds{partition=\"1\"}"))
  }
}
