import FreshetCore
import FreshetDashboard
import FreshetModel
import NIOConcurrencyHelpers
import NIOCore

/// What all parts of the dashboard share: the view of the cluster and the items' titles. Safe from any thread.
final class DashboardDesk: Sendable {
  private let view: NIOLockedValueBox<ClusterView>
  private let titles: NIOLockedValueBox<TitleCatalog>
  private let startedAt = Instant.now()

  init(_ cluster: ClusterDescription, titles: TitleCatalog) {
    view = NIOLockedValueBox(ClusterView(cluster, now: .now()))
    self.titles = NIOLockedValueBox(titles)
  }

  func handle(_ event: ClusterView.Event) { view.withLockedValue { $0.handle(event, now: .now()) } }

  var state: ByteBuffer { view.withLockedValue { $0 }.state(now: .now(), time: .now()) }

  func history(isLong: Bool, after number: Int) -> ByteBuffer {
    view.withLockedValue { $0 }.history(isLong: isLong, after: number)
  }

  /// Replicas, those first that are worth asking.
  var replicasByHealth: [MonitoredProcess] { view.withLockedValue { $0 }.replicasByHealth(now: .now()) }

  func title(of id: String) -> String? { titles.withLockedValue { $0[id] } }

  func takeItem(key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, reader: JSONRecordReader) {
    titles.withLockedValue { $0.take(key: key, value: value, reader: reader) }
  }

  var info: InfoText {
    var info = InfoText()
    info.addProcess(role: "dashboard", startedAt: startedAt, now: .now())
    info.section("dashboard")
    let counts = view.withLockedValue { $0.counts }
    info.add("answers", counts.answers)
    info.add("failures", counts.failures)
    info.add("log_failures", counts.logFailures)
    let titles = titles.withLockedValue { (count: $0.count, leftOut: $0.leftOut) }
    info.add("titles", titles.count)
    info.add("titles_left_out", titles.leftOut)
    return info
  }
}
