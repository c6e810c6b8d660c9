import Foundation
import Testing

@testable import FreshetRoles

@Suite struct MetricCatalogTests {
  private static let all: [(role: String, metric: MetricDescription)] =
    MetricCatalog.freshet.common.map { ("ps", $0) }
    + MetricCatalog.freshet.roles.flatMap { role in role.metrics.map { (role.name, $0) } }

  /// Prometheus' own conventions, as `promtool check metrics` has them, and the design's.
  @Test func namesSayTheirUnitsAndTypesAsPrometheusWantsIt() {
    for (role, metric) in Self.all where metric.kind != .infoOnly {
      let name = metric.fullName(role: role)
      #expect(name.wholeMatch(of: /(freshet|process)(_[a-z0-9]+)+/) != nil, "\(name)")
      #expect(name.hasSuffix("_total") == (metric.kind == .counter), "\(name)")
      let words = Set(name.split(separator: "_"))
      #expect(words.isDisjoint(with: ["ms", "us", "ns", "milliseconds", "kb", "mb", "percent"]), "\(name)")
      #expect(!["_count", "_sum", "_bucket"].contains { name.hasSuffix($0) }, "\(name)")
      #expect(
        (metric.kind == .histogram || metric.unit == .milliseconds) == words.contains("seconds")
          || name.hasPrefix("process_"), "\(name)")
      #expect(metric.key.hasSuffix("_ms") == (metric.unit == .milliseconds), "\(name)")
      #expect(metric.key.contains("bytes") == words.contains("bytes") || name.hasPrefix("process_"), "\(name)")
      #expect(metric.help.hasSuffix(".") && metric.help.count > 5, "\(name)")
      #expect(Set(metric.labels).count == metric.labels.count && !metric.labels.contains("le"), "\(name)")
    }
  }

  @Test func aNameHasOneMeaningInARole() {
    for role in MetricCatalog.freshet.roles {
      var seen: [String: MetricDescription] = [:]
      for metric in MetricCatalog.freshet.common + role.metrics where metric.kind != .infoOnly {
        let name = metric.fullName(role: role.name)
        if let other = seen.updateValue(metric, forKey: name) {
          guard case (.label, .label) = (metric.kind, other.kind) else {
            Issue.record("\(name) is there for \(other.section).\(other.key) and \(metric.section).\(metric.key)")
            continue
          }
          #expect(metric.help == other.help)
        }
      }
    }
  }

  @Test func theDocumentIsMadeOfTheCatalog() throws {
    let path = URL(fileURLWithPath: #filePath).pathComponents.dropLast(4).joined(separator: "/") + "/docs/metrics.md"
    let document = try String(contentsOfFile: String(path.dropFirst()), encoding: .utf8)
    #expect(document == MetricReference.markdown, "run: freshet metrics > docs/metrics.md")
  }
}
