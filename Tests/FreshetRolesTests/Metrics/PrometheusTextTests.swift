import FreshetCore
import NIOCore
import Testing

@testable import FreshetRoles

@Suite struct PrometheusTextTests {
  private static let catalog = MetricCatalog(
    common: MetricDescription.section(
      "server",
      [
        .label("role", "role", of: "freshet_build_info", "What it is."),
        .label("freshet_version", "version", of: "freshet_build_info", "What it is."),
      ], MetricDescription.infoOnly("process_id", "uptime_in_seconds", "resident_bytes", "peak_resident_bytes")),
    roles: [
      MetricCatalog.Role(
        name: "ps",
        metrics: MetricDescription.section(
          "sync",
          [
            .counter("frames", "frames_total", "Frames."), .gauge("load", "load_ratio", "Load."),
            .gauge("nothing", "nothing", "Nothing."), .gauge("age_ms", "age_seconds", "Age.", in: .milliseconds),
            .gauge("offset", "offset", "Offset.", by: "partition"), .gauge("other", "other", "Other."),
            .counter("rows", "rows_total", "Rows.", by: "shard", "table"),
            .histogram("delay", "delay_seconds", "Delay.", by: "command"), .gauge("late", "offset", "Offset."),
          ], MetricDescription.infoOnly("store", "phase")))
    ])

  @Test func oneTextPrintsForRedisClientsAndForPrometheus() {
    var info = InfoText()
    info.addProcess(role: "ps", startedAt: .now(), now: .now())
    info.section("sync")
    info.add("frames", 12)
    info.add("load", rounded: 0.12345)
    info.add("nothing", rounded: Double.nan)
    info.add("store", "s3://b")
    info.add("age_ms", 1_500)
    info.add("partition_0", 5, as: .named("offset", of: ["partition": 0]))
    info.add("other", 1e-9)
    info.add("partition_1", -1, as: .named("offset", of: ["partition": "1\"\\"]))
    info.add(
      "shard_3",
      [InfoField("phase", "idle", .of(["shard": 3])), InfoField("rows", 8, .of(["shard": 3, "table": "a b"]))])
    var delays = MetricHistogram(bounds: [100, 2_500], unitsPerSecond: 1000)
    for (value, count) in [(0, 2), (100, 1), (101, 1), (9_000, 3)] as [(UInt64, UInt64)] {
      delays.record(value, count: count)
    }
    info.add("", text: nil, delays, as: .named("delay", of: ["command": "pull"]))
    info.addMetric("late", 7)
    #expect(
      info.text(section: "sync") == """
        # sync\r
        frames:12\r
        load:0.123\r
        store:s3://b\r
        age_ms:1500\r
        partition_0:5\r
        other:1e-09\r
        partition_1:-1\r
        shard_3:phase=idle,rows=8\r

        """)
    #expect(
      String(buffer: info.prometheus(Self.catalog)) == #"""
        # HELP freshet_build_info What it is.
        # TYPE freshet_build_info gauge
        freshet_build_info{version="\#(FreshetVersion.current)",role="ps"} 1
        # HELP freshet_ps_frames_total Frames.
        # TYPE freshet_ps_frames_total counter
        freshet_ps_frames_total 12
        # HELP freshet_ps_load_ratio Load.
        # TYPE freshet_ps_load_ratio gauge
        freshet_ps_load_ratio 0.123
        # HELP freshet_ps_age_seconds Age.
        # TYPE freshet_ps_age_seconds gauge
        freshet_ps_age_seconds 1.5
        # HELP freshet_ps_offset Offset.
        # TYPE freshet_ps_offset gauge
        freshet_ps_offset{partition="0"} 5
        freshet_ps_offset{partition="1\"\\"} -1
        freshet_ps_offset 7
        # HELP freshet_ps_other Other.
        # TYPE freshet_ps_other gauge
        freshet_ps_other 1e-09
        # HELP freshet_ps_rows_total Rows.
        # TYPE freshet_ps_rows_total counter
        freshet_ps_rows_total{shard="3",table="a b"} 8
        # HELP freshet_ps_delay_seconds Delay.
        # TYPE freshet_ps_delay_seconds histogram
        freshet_ps_delay_seconds_bucket{command="pull",le="0.1"} 3
        freshet_ps_delay_seconds_bucket{command="pull",le="2.5"} 4
        freshet_ps_delay_seconds_bucket{command="pull",le="+Inf"} 7
        freshet_ps_delay_seconds_sum{command="pull"} 27.201
        freshet_ps_delay_seconds_count{command="pull"} 7

        """#)
    #expect(info.undescribed(in: Self.catalog) == [])
  }

  @Test func whatTheCatalogDoesNotHaveIsShownAndSaysSo() {
    var info = InfoText()
    info.addProcess(role: "ps", startedAt: .now(), now: .now())
    info.section("new")
    info.add("thing", 3)
    info.add("text", "three")
    let text = String(buffer: info.prometheus(Self.catalog))
    #expect(
      text.hasSuffix(
        """
        # HELP freshet_ps_new_thing \(InfoText.undescribed)
        # TYPE freshet_ps_new_thing untyped
        freshet_ps_new_thing 3

        """))
    #expect(info.undescribed(in: Self.catalog) == ["new.thing", "new.text"])
  }

  @Test(arguments: ["", "-", "inf", "nan", "0x10", "1:2", "1-2", "none", "1 2", "e5", "0.1.0"])
  func whatIsNoDecimalNumberIsLeftOut(text: String) {
    var info = InfoText()
    info.addProcess(role: "ps", startedAt: .now(), now: .now())
    info.section("sync")
    info.add("load", text)
    #expect(!String(buffer: info.prometheus(Self.catalog)).contains("load"))
  }
}
