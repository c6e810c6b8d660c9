import FreshetCore
import Histogram

/// The probes of one run: sends new ones at their rate, and watches those that are under way.
struct ProbeRun {
  private static let estimateSeconds = Double(RecentHistogram.windowSeconds)

  /// Microseconds from the writing of an action to the first answer that had learned from it.
  private(set) var latencies = Histogram<UInt64>(
    highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)
  /// What the replica said of the last five seconds, taken every five seconds.
  private(set) var estimates: [[String: Double]] = []

  private let rate: Double
  private let items: Int
  private let start = Instant.now()
  private let end: Instant
  private var underWay: [ProbeClient.Probe] = []
  private var sent = 0
  private let firstUser: Int

  init(_ rate: Double, seconds: Double, items: Int, control: Int) {
    self.rate = rate
    self.items = items
    end = start.advanced(bySeconds: seconds)
    firstUser = control + 1
  }

  /// Probes whose score has not moved yet.
  var outstanding: Int { underWay.count }

  func isOver(now: Instant, lastProbesSeconds: Double) -> Bool {
    now >= end && (underWay.isEmpty || now >= end.advanced(bySeconds: lastProbesSeconds))
  }

  /// Sends the probe that is due, if one is, and asks for the scores of all that are under way.
  mutating func step(_ client: ProbeClient, _ load: EventLoad) async throws {
    let now = Instant.now()
    if now < end, start.advanced(bySeconds: Double(sent) / rate) <= now {
      let (user, item) = (firstUser + sent, 1 + sent % items)
      let baseline = try await client.difference(user: user, item: item)
      underWay.append(ProbeClient.Probe(user: user, item: item, baseline: baseline))
      load.send(EventLoad.ProbeRequest(user: user, item: item))
      sent += 1
    }
    if now < end, now >= start.advanced(bySeconds: Double(estimates.count + 1) * Self.estimateSeconds) {
      estimates.append(try await client.freshness())
    }
    try await look(client, load)
  }

  private mutating func look(_ client: ProbeClient, _ load: EventLoad) async throws {
    let probes = underWay
    let moved = try await withThrowingTaskGroup(of: (user: Int, at: Instant)?.self) { group in
      for probe in probes {
        group.addTask {
          let difference = try await client.difference(user: probe.user, item: probe.item)
          return abs(difference - probe.baseline) > ProbeClient.threshold ? (probe.user, .now()) : nil
        }
      }
      return try await group.reduce(into: [Int: Instant]()) { moved, answer in
        if let answer { moved[answer.user] = answer.at }
      }
    }
    underWay.removeAll { probe in
      guard let movedAt = moved[probe.user], let sentAt = load.sentAt(user: probe.user) else { return false }
      latencies.record((movedAt.nanoseconds - sentAt.nanoseconds) / 1000)
      return true
    }
  }
}
