import Foundation
import FreshetCluster
import FreshetCore
import FreshetDashboard
import FreshetKafka
import FreshetModel
import FreshetNet
import FreshetWire
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import FreshetRoles

/// Whatever a role's INFO has is in the catalog of metrics, which says what becomes of it.
@Suite struct RoleMetricsTests {
  private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  private static let lags = [ConsumerLag(KafkaTopicPartition("features", PartitionID(2)), records: 17)]

  private static func configuration() throws -> FreshetConfiguration {
    try FreshetConfiguration.parse(ConfigurationTests.shipped, file: "c.yaml", overrides: [:], environment: [:])
  }

  private static func metrics(_ info: InfoText, isReady: Bool = true) -> String {
    var info = info
    info.addMetrics(of: .current(), isReady: isReady)
    #expect(info.undescribed(in: .freshet) == [])
    let text = String(buffer: info.prometheus(.freshet))
    #expect(!text.contains(InfoText.undescribed))
    return text
  }

  @Test func everyKeyOfAJoinerIsDescribed() {
    let status = JoinerStatus()
    status.update {
      $0.partitions[PartitionID(0)] = JoinerStatus.Partition(streamTimeMs: 1_500)
      $0.lags = Self.lags
    }
    #expect(status.info.text(section: "server").contains("waits_for:the broker has not been reached yet\r\n"))
    let text = Self.metrics(status.info, isReady: false)
    #expect(text.contains("\nfreshet_joiner_stream_time_seconds{partition=\"0\"} 1.5\n"))
    #expect(text.contains("\nfreshet_joiner_consumer_lag_records{topic=\"features\",partition=\"2\"} 17\n"))
    #expect(text.contains("\nfreshet_joiner_ready 0\n"))
    #expect(text.contains("freshet_build_info{version=\"\(FreshetVersion.current)\",role=\"joiner\"} 1\n"))
    #expect(text.contains("\nfreshet_joiner_dead_letters_total{reason=\"orphan-action\"} 0\n"))
  }

  @Test func everyKeyOfAnArchiveIsDescribed() {
    let status = ArchiveStatus()
    status.update {
      $0.partitions[KafkaTopicPartition("examples", PartitionID(1))] = ArchiveStatus.Partition()
      $0.lags = Self.lags
    }
    let text = Self.metrics(status.info)
    #expect(text.contains("\nfreshet_archive_partition_reading{topic=\"examples\",partition=\"1\"} 0\n"))
    #expect(text.contains("\nfreshet_archive_consumer_lag_records{topic=\"features\",partition=\"2\"} 17\n"))
    #expect(text.contains("\nfreshet_archive_ready 1\n"))
  }

  @Test func everyKeyOfAGatewayIsDescribed() throws {
    let sink = KafkaRecordSink(
      KafkaConfiguration(bootstrapServers: "127.0.0.1:1"), topics: ["items"], timeoutMs: 100,
      bounds: ProduceLedger.Bounds(records: 1, bytes: 1024), logger: Self.logger)
    let text = Self.metrics(GatewayStatus().info(sink: sink, topics: ["items"], notReady: "nothing"), isReady: false)
    #expect(text.contains("\nfreshet_gateway_written_records_total{topic=\"items\"} 0\n"))
    #expect(text.contains("\nfreshet_gateway_request_duration_seconds_count 0\n"))
    #expect(text.contains("\nfreshet_gateway_ready 0\n"))
  }

  @Test func everyKeyOfADashboardIsDescribed() {
    let cluster = ClusterDescription(
      version: "0", model: "shop", modelVersion: 1, userKey: "user_id", itemKey: "item_id", tasks: ["click"],
      topics: .init(features: "f", actions: "a", items: "i", examples: "e", deadLetter: "d"), processes: [],
      intervalMs: 1000)
    let desk = DashboardDesk(cluster, titles: TitleCatalog(keyField: "item_id", titleField: "title", capacity: 10))
    let text = Self.metrics(desk.info)
    #expect(text.contains("\nfreshet_dashboard_failures_total 0\n"))
  }

  /// What is read and acknowledged comes from a source and servers that there are not.
  private final class NoExamples: ExampleSource {
    func send(_ command: ExampleFeed.Command) {}
    var statistics: ExampleFeed.Statistics { ExampleFeed.Statistics(examplesRead: 3, lags: RoleMetricsTests.lags) }
  }

  @Test func everyKeyOfATrainerIsDescribed() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let configuration = try Self.configuration()
    let tables = try ModelTables(configuration.model)
    let text = try await loop.submit {
      var machine = Trainer.Configuration(
        tables: tables, map: configuration.cluster.map, batchSize: 8, microBatchSize: 1, pipelineDepth: 1,
        maximumUnacknowledged: 1, allowsGap: false, seed: 1)
      machine.validation = PartitionValidation.Settings(window: 100, slots: [0], valuesPerSlot: 4)
      machine.guardBounds = TrainingGuard.Bounds(window: 10, maximumLogloss: 1, maximumNormalizedEntropy: 2)
      let names = ValidationNames(configuration.model, slices: [])
      let writer = try ValidationWriter(
        KafkaConfiguration(bootstrapServers: "127.0.0.1:1"), topic: "validation", names: names, trainer: "t",
        intervalMs: 100, deliveryTimeoutMs: 300, queueRecords: 300, logger: Self.logger)
      let endpoint = TrainerEndpoint(
        machine: machine, cluster: configuration.cluster, loop: loop, feed: NoExamples(), outcome: RoleOutcome(),
        names: names, writer: writer, logger: Self.logger)
      endpoint.handle(.assigned(PartitionID(1)))
      return Self.metrics(endpoint.info)
    }.get()
    #expect(text.contains("\nfreshet_trainer_read_examples_total 3\n"))
    #expect(text.contains("\nfreshet_trainer_queued_examples{partition=\"1\"} 0\n"))
    #expect(text.contains("\nfreshet_trainer_round_trip_seconds_bucket{command=\"push\",le=\"5e-05\"} 0\n"))
    #expect(text.contains("\nfreshet_trainer_freshness_seconds_count 0\n"))
    #expect(text.contains("\nfreshet_trainer_guard_maximum_logloss 1.0\n"))
    #expect(text.contains("\nfreshet_trainer_consumer_lag_records{topic=\"features\",partition=\"2\"} 17\n"))
    try await group.shutdownGracefully()
  }

  @Test func everyKeyOfAReplicaIsDescribed() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let directory = FileManager.default.temporaryDirectory.path + "/freshet-metrics-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let configuration = try ServeRoleTests.configuration(serverPorts: [1])
    let model = try await ServedModel.open(
      configuration, directory: try StateDirectory(directory), items: GivenItems([]), logger: Self.logger)
    let threads = try await ServingThreads.start(
      on: Array(group.makeIterator()), serving: model, limits: ServingLimits(maxCandidates: 10))
    let text = Self.metrics(try await threads.info(on: group.next()).get())
    #expect(text.contains("\nfreshet_serve_model_info{model=\"shop\",servers=\"127.0.0.1:1\"} 1\n"))
    #expect(text.contains("\nfreshet_serve_request_duration_seconds_count{command=\"recommend\"} 0\n"))
    #expect(text.contains("\nfreshet_serve_thread_requests_total{thread=\"1\"} 0\n"))
    #expect(text.contains("\nfreshet_serve_freshness_seconds_bucket{le=\"0.025\"} 0\n"))
    #expect(text.contains("\nfreshet_serve_state_saved_rows_total 0\n"))
    await model.stop()
    try await model.close()
    try await group.shutdownGracefully()
  }

  @Test func aProcessTellsOfItselfWhatEveryProgramTells() throws {
    let figures = ProcessFigures.current()
    let age = Double(UnixTime.now().milliseconds) / 1000 - (try #require(figures.startTimeSeconds))
    // The kernel counts in hundredths, and from a boot time in whole seconds.
    #expect(age > -2 && age < 86_400)
    let cpu = try #require(figures.cpuSeconds)
    #expect(cpu > 0)
    let (resident, virtual) = (try #require(figures.residentBytes), try #require(figures.virtualBytes))
    #expect(resident > 1 << 20 && resident <= virtual)
    let (open, maximum) = (try #require(figures.openFiles), try #require(figures.maximumOpenFiles))
    #expect(open >= 3 && open <= maximum)
  }
}
