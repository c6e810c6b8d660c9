/// `docs/metrics.md`, made of the catalog.
public enum MetricReference {
  public static var markdown: String { markdown(of: .freshet) }

  static func markdown(of catalog: MetricCatalog) -> String {
    let names = catalog.roles.map { "`\($0.name)`" }.joined(separator: ", ")
    var text = """
      # Metrics

      What `/metrics` prints for Prometheus, by role ([ports](http.md)). Made by `freshet metrics`; do not edit. Times are in seconds, sizes in
      bytes, times of day in seconds since 1970. `INFO` is where [`INFO`](operations.md#what-to-watch-in-info) has the value, as section and key.
      A metric is absent where there is nothing to tell: no replica without `serve.state` has `freshet_serve_state_…`.

      ## Every role

      `<role>` is one of \(names). Trainers, joiners and archives count no connections, requests and commands, and
      only they have a lag.


      """
    text += table(catalog.common, role: "<role>")
    for role in catalog.roles {
      text += "\n## \(role.name)\n\n" + table(role.metrics, role: role.name)
    }
    return text
  }

  private static func table(_ metrics: [MetricDescription], role: String) -> String {
    var rows: [(name: String, cells: [String])] = []
    for metric in metrics where metric.kind != .infoOnly {
      let name = metric.fullName(role: role)
      let place = metric.isInInfo ? "`\(metric.section)`, `\(metric.key)`" : ""
      if case .label(let label) = metric.kind, let row = rows.firstIndex(where: { $0.name == name }) {
        rows[row].cells[2] += ", `\(label)`"
        rows[row].cells[4] += "; `\(metric.key)`"
        continue
      }
      let labels = metric.labels.map { "`\($0)`" }.joined(separator: ", ")
      rows.append((name, ["`\(name)`", metric.type, labels, metric.help, place]))
    }
    let lines =
      [["metric", "type", "labels", "meaning", "INFO"]] + [Array(repeating: "---", count: 5)] + rows.map(\.cells)
    return lines.map { "|" + $0.map { $0.isEmpty ? " " : $0 == "---" ? $0 : " \($0) " }.joined(separator: "|") + "|\n" }
      .joined()
  }
}

extension MetricDescription {
  /// Whether INFO prints it, under the same key or one that says which of several it is.
  fileprivate var isInInfo: Bool {
    if kind == .histogram { return section == "join_delay" }
    return section != "process" && section != "health"
  }
}
