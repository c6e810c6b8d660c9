import ArgumentParser
import FreshetRoles

struct MetricsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics", abstract: "Print the table of all metrics, as Markdown: docs/metrics.md.",
    discussion: """
      Names, types, labels and meaning of what every role's /metrics has for Prometheus, and where INFO has it.

      EXAMPLES:
        freshet metrics | grep freshness
        freshet metrics > docs/metrics.md
      """)

  func run() { print(MetricReference.markdown, terminator: "") }
}
