import ArgumentParser
import Foundation
import FreshetRoles
import NIOPosix

struct SnapshotCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot",
    abstract: "Have every parameter server save its shards now, and wait until that is durable.",
    discussion: """
      A line for each server; exits with 1 if one of them could not.

      EXAMPLES:
        freshet ctl snapshot
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() async throws {
    let settings = try configuration.load()
    let showsLines = !json
    let outcomes = await ClusterSnapshot.take(settings, on: MultiThreadedEventLoopGroup.singleton) { outcome in
      if showsLines { print(outcome.text) }
    }
    if json { print(try ClusterSnapshot.json(outcomes)) }
    if outcomes.contains(where: { $0.error != nil }) { throw ExitCode(1) }
  }
}

struct StoreCommand: ParsableCommand {
  enum Action: String, ExpressibleByArgument, CaseIterable { case check, list }

  static let configuration = CommandConfiguration(
    commandName: "store", abstract: "Look at the store of the snapshots, or try it out.",
    discussion: """
      check: writes, lists, reads back and removes files, and tells how fast that went. list: size and name of each file.

      EXAMPLES:
        freshet ctl store check
        freshet ctl store list --set snapshot.store=s3://bucket/prefix
      """
  )

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Argument(help: "check or list")
  var action: Action
  @Option(help: "Files that check writes.")
  var files = 3
  @Option(help: "Size of each.")
  var bytes = 20_000_000

  func run() throws {
    let settings = try configuration.load()
    let logger = log.logger(role: "ctl")
    let access = action == .check ? SnapshotStore.Access.writing : .reading
    let opened = try SnapshotStore.open(settings.snapshot, for: access) { reason in
      logger.warning("trying again", metadata: ["reason": "\(reason)"])
    }
    guard let store = opened else { throw UsageError("snapshot.store is not set") }
    switch action {
    case .list: for file in try store.list(prefix: "") { print("\(file.sizeBytes)\t\(file.name)") }
    case .check:
      guard files > 0, bytes >= 0 else { throw UsageError("--files must be at least 1, --bytes at least 0") }
      print(try StoreCheck(store: store, files: files, bytes: bytes).run().text)
    }
  }
}
