import ArgumentParser
import Foundation
import FreshetSimulator

struct SimulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Run whole clusters in memory under faults that a seed draws, and check them.",
    discussion: """
      Each seed is a cluster of its own: servers, trainers, joiners, replicas, a broker and disks, in one thread on a virtual \
      clock. A failure prints the seed, the check and the last events; the same seed gives the same run. \
      docs/simulation.md says what is simulated and checked. Exits with 1 if a seed fails.

      EXAMPLES:
        freshet simulate --seeds 100
        freshet simulate --profile sync --seeds 20
      """)

  @Option(help: "The seeds: A..B, or one number.") var seeds: SeedRange
  @Option(
    help: """
      What it is about: general, or sync (replicas: a tenth of all sync frames is lost, a tenth comes twice, a tenth is cut off, \
      one replica is killed, and at last rows are evicted).
      """) var profile = SimulationProfile.general
  @Flag(help: "Stop at the first seed that fails.") var untilFailure = false
  @Flag(help: "Print every event of every seed, and how often each fault happened.") var verbose = false
  @Option(help: "Write every event of the failures (of all seeds with --verbose) to this file.") var trace: String?
  @Option(help: "Seeds that run at once.") var threads = ProcessInfo.processInfo.activeProcessorCount

  func validate() throws {
    if threads < 1 { throw ValidationError("--threads \(threads): at least 1") }
  }

  func run() async throws {
    let began = Date()
    let isTerminal = isatty(STDERR_FILENO) != 0
    var shown = Date.distantPast
    var traces = ""
    let runner = SeedRunner(
      profile: profile, threads: threads, untilFailure: untilFailure, keepsTraces: verbose)
    let report = await runner.run(seeds.range) { result, report in
      if verbose {
        print(Self.text(result))
        traces += trace == nil ? "" : Self.text(result) + "\n"
      }
      guard isTerminal, Date().timeIntervalSince(shown) > 0.5 else { return }
      shown = Date()
      let rate = Double(report.seeds) / max(0.001, Date().timeIntervalSince(began))
      FileHandle.standardError.write(
        Data("\r\(report.seeds) seeds, \(Int(rate)) a second, \(report.failureCount) failed ".utf8))
    }
    if isTerminal { FileHandle.standardError.write(Data("\n".utf8)) }
    for failure in report.failures where !verbose {
      print(Self.text(failure))
      // The last events are at hand; for all of them the seed runs once more.
      if trace != nil {
        traces += Self.text(Simulation.run(seed: failure.seed, profile: profile, keepsTrace: true)) + "\n"
      }
    }
    if let trace { try traces.write(toFile: trace, atomically: true, encoding: .utf8) }
    if verbose { print(report.coverage.table.joined(separator: "\n")) }
    print(Self.summary(report, seconds: Date().timeIntervalSince(began)))
    if report.failureCount > 0 { throw ExitCode(1) }
  }

  private static func text(_ result: SimulationResult) -> String {
    var lines = ["seed \(result.seed): \(result.scenario)"] + result.trace
    lines.append("seed \(result.seed): \(result.violation.map { "FAILED \($0)" } ?? "passed")")
    return lines.joined(separator: "\n")
  }

  private static func summary(_ report: SeedRunner.Report, seconds: Double) -> String {
    var lines = [
      String(
        format: "%d seeds in %.1f s (%.0f a second), %d events, %d examples, %.1f h of virtual time, %d failed",
        report.seeds, seconds, Double(report.seeds) / max(seconds, 0.001), report.steps, report.examples,
        Double(report.virtualMilliseconds) / 3_600_000, report.failureCount)
    ]
    for failure in report.failures { lines.append("seed \(failure.seed) failed: \(failure.violation!.check)") }
    if report.failureCount > report.failures.count {
      lines.append("and \(report.failureCount - report.failures.count) more")
    }
    return lines.joined(separator: "\n")
  }
}

/// `A..B` or `A`.
struct SeedRange: ExpressibleByArgument {
  let range: ClosedRange<UInt64>

  init?(argument: String) {
    let ends = argument.components(separatedBy: "..")
    guard let first = UInt64(ends[0]), ends.count <= 2 else { return nil }
    guard ends.count == 2 else {
      range = first...first
      return
    }
    guard let last = UInt64(ends[1]), last >= first else { return nil }
    range = first...last
  }
}

extension SimulationProfile: ExpressibleByArgument {}
