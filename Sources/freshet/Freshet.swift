import ArgumentParser

@main
struct Freshet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "freshet",
    abstract: "Learns from every action within a second, and scores what comes next.",
    version: "0.1.0")
}
