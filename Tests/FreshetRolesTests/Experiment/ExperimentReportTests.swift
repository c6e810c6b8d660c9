import Foundation
import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct ExperimentReportTests {
  private static let table = MarkdownTable(
    header: ["interval", "AUC"], alignment: [.left, .right], rows: [["live", "0.8"], ["a|b\nc", "0.75 ± 0.01"]])

  private static let chart = PointChart(
    title: "A & B", yLabel: "AUC", categories: ["x", "y\nz"],
    series: [PointChart.Series(name: "s", points: [Spread([0.5, 0.7]), Spread([0.8])])])

  @Test func aTableIsPaddedAndItsCellsCannotBreakIt() {
    #expect(
      Self.table.text == #"""
        | interval |         AUC |
        | -------- | ----------: |
        | live     |         0.8 |
        | a\|b c   | 0.75 ± 0.01 |
        """#)
  }

  @Test func aReportHasItsNotesItsTableAndItsChart() throws {
    let report = ExperimentReport(
      name: "some", title: "AUC of it", notes: ["One.", "Two."], table: Self.table, chart: Self.chart)
    #expect(
      report.markdown == #"""
        # AUC of it

        One.

        Two.

        | interval |         AUC |
        | -------- | ----------: |
        | live     |         0.8 |
        | a\|b c   | 0.75 ± 0.01 |

        ![AUC of it](some.svg)

        """#)
    let directory = try ScratchDirectory([:])
    let out = directory.path + "/a/b"
    try report.write(to: out)
    try report.write(to: out)
    #expect(try String(contentsOfFile: out + "/some.md", encoding: .utf8) == report.markdown)
    #expect(try String(contentsOfFile: out + "/some.svg", encoding: .utf8) == Self.chart.svg)
    let error = try #require(throws: ReplayError.self) { try report.write(to: out + "/some.md") }
    #expect(error.message.contains(out + "/some.md"))
  }

  @Test func aChartIsTheSameTextEveryTime() {
    #expect(
      Self.chart.svg == """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 400" role="img" aria-label="A &amp; B">
        <style>
        text { font: 13px system-ui, sans-serif; stroke: none; } .title { font-size: 15px; font-weight: 600; }
        text { fill: #24292f; } .axis { stroke: #24292f; } .grid { stroke: #d7dbe0; }
        .s0 { stroke: #1f5fa8; fill: #1f5fa8; }
        @media (prefers-color-scheme: dark) {
        text { fill: #d6dde5; } .axis { stroke: #d6dde5; } .grid { stroke: #3b424a; }
        .s0 { stroke: #7db8f5; fill: #7db8f5; }
        }
        </style>
        <text class="title" x="76" y="26" text-anchor="start">A &amp; B</text>
        <circle class="s0" cx="81" cy="45" r="4"/>
        <text x="92" y="49.5" text-anchor="start">s</text>
        <line class="grid" x1="76" y1="344" x2="704" y2="344"/>
        <text x="68" y="348.5" text-anchor="end">0.4</text>
        <line class="grid" x1="76" y1="274" x2="704" y2="274"/>
        <text x="68" y="278.5" text-anchor="end">0.5</text>
        <line class="grid" x1="76" y1="204" x2="704" y2="204"/>
        <text x="68" y="208.5" text-anchor="end">0.6</text>
        <line class="grid" x1="76" y1="134" x2="704" y2="134"/>
        <text x="68" y="138.5" text-anchor="end">0.7</text>
        <line class="grid" x1="76" y1="64" x2="704" y2="64"/>
        <text x="68" y="68.5" text-anchor="end">0.8</text>
        <line class="axis" x1="76" y1="64" x2="76" y2="344"/>
        <text x="18" y="204" text-anchor="middle" transform="rotate(-90 18 204)">AUC</text>
        <line class="axis" x1="76" y1="344" x2="704" y2="344"/>
        <text x="233" y="366" text-anchor="middle">x</text>
        <text x="547" y="366" text-anchor="middle">y</text>
        <text x="547" y="383" text-anchor="middle">z</text>
        <line class="s0" x1="233" y1="105" x2="233" y2="303"/>
        <line class="s0" x1="229" y1="105" x2="237" y2="105"/>
        <line class="s0" x1="229" y1="303" x2="237" y2="303"/>
        <circle class="s0" cx="233" cy="204" r="4"/>
        <circle class="s0" cx="547" cy="64" r="4"/>
        </svg>

        """)
  }

  @Test func aValueThatIsNoneLeavesNoPointAndNoBrokenAxis() {
    let chart = PointChart(
      title: "t", yLabel: "y", categories: ["a", "b"],
      series: [PointChart.Series(name: "s", points: [Spread([.nan]), Spread([0.5])])])
    #expect(!chart.svg.contains("nan") && chart.svg.components(separatedBy: "<circle").count == 3)
  }

  @Test func ticksAreRoundAndEncloseTheValues() {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<2000 {
      let middle = (random.nextUnit() - 0.5) * 2
      let width = random.nextUnit() * random.nextUnit() * random.nextUnit()
      let values = (0..<3).map { _ in middle + random.nextUnit() * width }
      let axis = ValueAxis(values: values)
      #expect(axis.low <= values.min()! + 1e-9 && axis.high >= values.max()! - 1e-9)
      #expect((4...10).contains(axis.ticks.count), "\(values) \(axis)")
      // Labels tell neighbours apart, and say exactly where the tick is.
      let labels = axis.ticks.map { fixed($0, decimals: axis.decimals) }
      #expect(Set(labels).count == labels.count, "\(labels)")
      #expect(zip(labels, axis.ticks).allSatisfy { abs(Double($0)! - $1) < 1e-9 })
    }
    #expect(ValueAxis(values: []).ticks.count >= 4)
    #expect(ValueAxis(values: [0.5, 0.5]).ticks.count >= 4)
  }

  @Test func numbersHaveTheDecimalsAskedForAndTheirDeviation() {
    #expect(fixed(0.79995, decimals: 4) == "0.8000" && fixed(-0.00001, decimals: 4) == "0.0000")
    #expect(fixed(-1.25, decimals: 1) == "-1.3" && fixed(12, decimals: 0) == "12" && fixed(.nan, decimals: 2) == "–")
    #expect(
      grouped(1_000_209) == "1,000,209" && grouped(-1000) == "-1,000" && grouped(999) == "999" && grouped(0) == "0")
    let spread = Spread([1, 2, 3, 4])
    #expect(spread.mean == 2.5 && abs(spread.deviation! - 1.2909944487) < 1e-9)
    #expect(Spread([0.5]).deviation == nil && Spread([0.5]).text(decimals: 2) == "0.50")
    #expect(Spread([0.1, 0.3]).text(decimals: 2, signed: true) == "+0.20 ± 0.14")
    #expect(Spread([-0.1, -0.3]).text(decimals: 2, signed: true) == "-0.20 ± 0.14")
  }
}
