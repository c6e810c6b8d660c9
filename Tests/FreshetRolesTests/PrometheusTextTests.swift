import FreshetCore
import NIOCore
import Testing

@testable import FreshetRoles

@Suite struct PrometheusTextTests {
  @Test func oneTextPrintsForRedisClientsAndForPrometheus() {
    var info = InfoText()
    info.section("server")
    info.add("role", "ps \"x\"\\", as: .description)
    info.add("process_id", 7)
    info.section("sync")
    info.add("frames", 12, as: .counter)
    info.add("bytes_total", 13, as: .counter)
    info.add("load", rounded: 0.12345)
    info.add("nothing", rounded: Double.nan)
    info.add("store", "s3://b")
    info.add("partition_0", 5, as: .gauge.named("offset", of: ["partition": 0]))
    info.add("other", 1e-9)
    info.add("partition_1", -1, as: .gauge.named("offset", of: ["partition": 1]))
    info.add(
      "shard_3",
      [InfoField("phase", "idle", .gauge), InfoField("rows", 8, .counter.of(["shard": 3, "table": "a b"]))])
    #expect(
      info.text(section: nil) == """
        # server\r
        role:ps "x"\\\r
        process_id:7\r
        \r
        # sync\r
        frames:12\r
        bytes_total:13\r
        load:0.123\r
        store:s3://b\r
        partition_0:5\r
        other:1e-09\r
        partition_1:-1\r
        shard_3:phase=idle,rows=8\r

        """)
    #expect(
      String(buffer: info.prometheus) == #"""
        # HELP freshet_server_process_id process_id of INFO's section server.
        # TYPE freshet_server_process_id gauge
        freshet_server_process_id 7
        # HELP freshet_server_info What the process is, in labels; always 1.
        # TYPE freshet_server_info gauge
        freshet_server_info{role="ps \"x\"\\"} 1
        # HELP freshet_sync_frames_total frames of INFO's section sync.
        # TYPE freshet_sync_frames_total counter
        freshet_sync_frames_total 12
        # HELP freshet_sync_bytes_total bytes_total of INFO's section sync.
        # TYPE freshet_sync_bytes_total counter
        freshet_sync_bytes_total 13
        # HELP freshet_sync_load load of INFO's section sync.
        # TYPE freshet_sync_load gauge
        freshet_sync_load 0.123
        # HELP freshet_sync_offset offset of INFO's section sync.
        # TYPE freshet_sync_offset gauge
        freshet_sync_offset{partition="0"} 5
        freshet_sync_offset{partition="1"} -1
        # HELP freshet_sync_other other of INFO's section sync.
        # TYPE freshet_sync_other gauge
        freshet_sync_other 1e-09
        # HELP freshet_sync_rows_total rows of INFO's section sync.
        # TYPE freshet_sync_rows_total counter
        freshet_sync_rows_total{shard="3",table="a b"} 8

        """#)
  }

  @Test(arguments: ["", "-", "inf", "nan", "0x10", "1:2", "1-2", "none", "1 2", "e5", "0.1.0"])
  func whatIsNoDecimalNumberIsLeftOut(text: String) {
    var info = InfoText()
    info.section("a")
    info.add("key", text)
    #expect(info.prometheus.readableBytes == 0)
  }
}
