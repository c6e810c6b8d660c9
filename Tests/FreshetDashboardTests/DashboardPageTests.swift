import Foundation
import Testing

@testable import FreshetDashboard

/// What the page promises: it is whole in the program, loads nothing from elsewhere, and makes text of nobody into HTML.
@Suite struct DashboardPageTests {
  private static let texts = DashboardPage.files.mapValues { String(decoding: $0.bytes, as: UTF8.self) }
  private static let page = texts[""]!

  private static func matches(_ pattern: String, _ text: String) throws -> [String] {
    let expression = try NSRegularExpression(pattern: pattern)
    return expression.matches(in: text, range: NSRange(text.startIndex..., in: text)).map {
      String(text[Range($0.range(at: 1), in: text)!])
    }
  }

  @Test func everyFileThatIsNamedIsThere() throws {
    let named = try Self.matches(##"(?:src|href)="([^"#][^"]*)""##, Self.page)
    #expect(named.contains("dashboard.js") && named.contains("dashboard.css"))
    for name in named { #expect(DashboardPage.files[name] != nil, "\(name)") }
    for (name, text) in Self.texts where name.hasSuffix(".js") {
      for module in try Self.matches(#"from '\./([^']+)'"#, text) {
        #expect(DashboardPage.files[module] != nil, "\(module)")
      }
    }
  }

  @Test func nothingIsLoadedFromElsewhere() throws {
    for (name, text) in Self.texts {
      let addresses = try Self.matches(#"((?:https?:)?//[a-z0-9.-]+\.[a-z]+[^'"\s]*)"#, text)
      #expect(addresses.allSatisfy { $0.hasPrefix("http://www.w3.org/") }, "\(name): \(addresses)")
      #expect(!text.contains("@import") && !text.replacing("url(#", with: "").contains("url("), "\(name)")
    }
  }

  @Test func thePolicyHoldsForThePage() throws {
    #expect(DashboardPage.contentSecurityPolicy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self'"))
    #expect(!DashboardPage.contentSecurityPolicy.contains("unsafe"))
    #expect(!Self.page.contains("<style") && !Self.page.contains("style=") && !Self.page.contains("javascript:"))
    #expect(try Self.matches(#"(\son[a-z]+=)"#, Self.page).isEmpty)
    #expect(try Self.matches(#"<script([^>]*)>"#, Self.page) == [#" type="module" src="dashboard.js""#])
  }

  @Test func noScriptParsesTextAsHTMLOrCode() {
    let forbidden = [
      "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc", "DOMParser",
    ]
    for (name, text) in Self.texts where name.hasSuffix(".js") {
      for word in forbidden { #expect(!text.contains(word), "\(name): \(word)") }
    }
  }

  @Test func landmarksAndNamesAreThere() {
    for text in [
      "<html lang=\"en\">", "<main id=\"main\"", "<header>", "<h1>", "role=\"status\"", "aria-live=\"polite\"",
      "name=\"viewport\"",
    ] {
      #expect(Self.page.contains(text), "\(text)")
    }
  }
}
