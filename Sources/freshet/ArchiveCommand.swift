import ArgumentParser
import FreshetRoles

struct ArchiveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "archive", abstract: "Keep topics as files, in a directory or a bucket.",
    discussion: """
      Without a subcommand it runs the role: `freshet archive -c FILE` writes the examples to archive.store, each record once, in \
      files named topics/T/date=YYYY-MM-DD/T+P+OFFSET.records.zst. Other topics (--topics) become lines of JSON (.jsonl.zst).

      EXAMPLES:
        freshet archive --set archive.store=s3://bucket/archive
        freshet archive check
        freshet archive export --out lines
      """,
    subcommands: [RunArchive.self, CheckArchive.self, ExportArchive.self], defaultSubcommand: RunArchive.self)
}

struct RunArchive: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run the role (the default).",
    discussion: """
      Writes the topics to archive.store until it is stopped.

      EXAMPLES:
        freshet archive run --set archive.store=archive.store
        freshet archive run --topics features,actions,examples
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "Topics to archive, separated by commas, instead of archive.topics.")
  var topics: String?
  @Option(help: "Status port, instead of archive.port; 0 opens none.")
  var port: Int?
  @Option(help: "Metrics port, instead of archive.metrics_port; 0 opens none.")
  var metricsPort: Int?
  @Flag(help: "Exit with 1 if no broker answers at the start, instead of trying again.")
  var failFast = false
  @Flag(help: "Go on, and count, when Kafka has deleted records that were not archived.")
  var allowGap = false

  func run() async throws {
    let logger = log.logger(role: "archive")
    try await runService(
      ArchiveRole(
        configuration: configuration.load(),
        options: ArchiveRole.Options(
          topics: topics?.split(separator: ",").map(String.init) ?? [], port: port, metricsPort: metricsPort,
          failsFast: failFast, allowsGap: allowGap), logger: logger),
      logger: logger)
  }
}

struct CheckArchive: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Read every file of an archive and count.",
    discussion: """
      Compares all checksums and the files' ranges of offsets. Prints a line for each partition; exits with 1 if a file is damaged \
      or missing. Changes nothing.

      EXAMPLES:
        freshet archive check --set archive.store=archive.store
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @Option(help: "Topics, separated by commas, instead of archive.topics.")
  var topics: String?
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let report = try ArchiveCheck(
      configuration.load(), topics: topics?.split(separator: ",").map(String.init) ?? []
    ).run()
    print(json ? report.json : report.text)
    if !report.problems.isEmpty { throw ExitCode(1) }
  }
}

struct ExportArchive: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Turn archived examples into lines of JSON.",
    discussion: """
      Writes a file of JSON lines (zstd) for each file of examples in the archive, under the same name with .jsonl.zst, to a directory: \
      offset, times, weight, labels by task, fids by slot, dense features by name. For DuckDB, Spark, Athena and the rest. Files that \
      are there already stay; so the command can be repeated.

      EXAMPLES:
        freshet archive export --set archive.store=archive.store --out lines
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @Option(help: "The directory to write to.")
  var out: String

  func run() throws {
    let summary = try ArchiveExport(configuration.load(), directory: out).run()
    print("\(summary.files) files with \(summary.records) examples written, \(summary.skipped) were there")
    if summary.unreadable > 0 {
      print("\(summary.unreadable) records are no examples of this model and were left out")
      throw ExitCode(1)
    }
  }
}
