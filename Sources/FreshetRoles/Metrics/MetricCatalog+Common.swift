extension MetricCatalog {
  static let common: [MetricDescription] =
    MetricDescription.section(
      "server",
      [
        .label("freshet_version", "version", of: "freshet_build_info", "What the process is, in labels; always 1."),
        .label("role", "role", of: "freshet_build_info", "What the process is, in labels; always 1."),
        .gauge(
          "peak_resident_bytes", "resident_memory_peak_bytes", "Most resident memory that the process has had so far."),
      ], MetricDescription.infoOnly("process_id", "uptime_in_seconds", "resident_bytes", "waits_for"))
    + MetricDescription.section(
      "health",
      [.gauge("ready", "ready", "1 while the process does its work, 0 while /health/ready says what it waits for.")])
    + MetricDescription.section(
      "process",
      [
        .gauge("start_time", "process_start_time_seconds", "When the process started, in seconds since 1970."),
        .counter("cpu", "process_cpu_seconds_total", "Time on processors, of the user and of the system."),
        .gauge("resident_memory", "process_resident_memory_bytes", "Resident memory."),
        .gauge("virtual_memory", "process_virtual_memory_bytes", "Virtual memory."),
        .gauge("open_files", "process_open_fds", "Open files and connections."),
        .gauge("maximum_open_files", "process_max_fds", "Most open files and connections that the system allows."),
      ])
    + MetricDescription.section(
      "clients",
      [
        .gauge("connected_clients", "connections", "RESP connections that are open."),
        .counter("accepted_connections", "connections_accepted_total", "RESP connections that were accepted."),
        .counter(
          "rejected_connections", "connections_rejected_total",
          "RESP connections refused with BUSY: there were too many."),
        .counter("protocol_errors", "protocol_errors_total", "RESP connections closed because of what they sent."),
        .counter(
          "paused_connections", "connections_paused_total",
          "How often a RESP connection was not read on until it had taken its replies."),
        .counter(
          "slow_readers_closed", "slow_readers_closed_total",
          "RESP connections closed because their clients did not read for too long."),
        .counter("unknown_commands", "unknown_commands_total", "RESP requests for commands that there are not."),
        .counter("bytes_in", "received_bytes_total", "Bytes that RESP clients sent."),
        .counter("bytes_out", "sent_bytes_total", "Bytes that RESP clients were sent."),
      ])
    + MetricDescription.section(
      "commandstats", [.counter("calls", "commands_total", "RESP requests.", by: "command")])
    + MetricDescription.section(
      "http",
      [
        .gauge("in_hand", "http_requests_in_hand", "HTTP requests that are being answered."),
        .counter("requests", "http_requests_total", "HTTP requests."),
        .counter("succeeded", "http_requests_succeeded_total", "HTTP requests answered with 2xx."),
        .counter("refused", "http_requests_refused_total", "HTTP requests answered with 4xx."),
        .counter("failed", "http_requests_failed_total", "HTTP requests answered with 5xx."),
        .counter("bytes_in", "http_received_bytes_total", "Bytes of HTTP requests' bodies."),
        .counter("bytes_out", "http_sent_bytes_total", "Bytes of HTTP replies' bodies."),
      ])
    + MetricDescription.section(
      "lag",
      [
        .gauge(
          "records", "consumer_lag_records",
          "Offsets of an assigned partition that have not been read, as of the broker's last answer to a fetch.",
          by: "topic", "partition")
      ])
}
