/// The files of the page, which are part of the program.
public enum DashboardPage {
  public struct File: Sendable {
    public let contentType: String
    public let bytes: [UInt8]
  }

  /// Everything that the page may do: load its own files and ask its own server. Nothing in line, nothing from elsewhere.
  public static let contentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

  /// By path without the first slash; the page itself has the empty one.
  public static let files: [String: File] = [
    "": File(contentType: "text/html; charset=utf-8", bytes: PackageResources.index_html),
    "dashboard.css": File(contentType: "text/css; charset=utf-8", bytes: PackageResources.dashboard_css),
    "dashboard.js": script(PackageResources.dashboard_js),
    "dom.js": script(PackageResources.dom_js),
    "format.js": script(PackageResources.format_js),
    "pipeline.js": script(PackageResources.pipeline_js),
    "charts.js": script(PackageResources.charts_js),
    "tables.js": script(PackageResources.tables_js),
    "ask.js": script(PackageResources.ask_js),
    "icon.svg": File(contentType: "image/svg+xml", bytes: PackageResources.icon_svg),
  ]

  private static func script(_ bytes: [UInt8]) -> File {
    File(contentType: "text/javascript; charset=utf-8", bytes: bytes)
  }
}
