import ArgumentParser
import FreshetRoles

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check or print a configuration.",
    subcommands: [Check.self, Print.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Exit with 0 if the configuration can be used, else with 2 and the line and key at fault.")
    @OptionGroup var configuration: ConfigurationOptions

    func run() throws {
      _ = try configuration.load()
      print("\(configuration.configuration): ok")
    }
  }

  struct Print: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the configuration in effect, with defaults, overrides and environment.")
    @OptionGroup var configuration: ConfigurationOptions

    func run() throws {
      print(try configuration.load().effectiveYAML, terminator: "")
    }
  }
}
