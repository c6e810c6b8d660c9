import ArgumentParser
import Foundation
import FreshetRoles

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check or print a configuration, or say which keys there are.",
    discussion: """
      EXAMPLES:
        freshet config check -c Config/cluster.yaml
        freshet config print -c Config/cluster.yaml --set trainer.batch_size=64
        freshet config reference joiner
      """,
    subcommands: [Check.self, Print.self, Reference.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Exit with 0 if the configuration can be used, else with 2.",
      discussion: """
        A mistake is named with file, line and key, and a name that there is not
        with the one that may be meant.

        EXAMPLES:
          freshet config check -c Config/cluster.yaml
          freshet config check -c new.yaml --set cluster.servers=a:7100,b:7100
        """)
    @OptionGroup var configuration: ConfigurationOptions

    func run() throws {
      _ = try configuration.load()
      print("\(configuration.configuration): ok")
    }
  }

  struct Print: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print every value in effect, and where it comes from.",
      discussion: """
        YAML that can be used again. The comment behind a value is the line of the
        file, the variable of the environment, --set, or `default`. Passwords and
        secrets are hidden.

        EXAMPLES:
          freshet config print -c Config/cluster.yaml
          freshet config print | grep -v '# default'
          freshet config print --json
        """)
    @OptionGroup var configuration: ConfigurationOptions
    @Flag(help: "Without comments.") var plain = false
    @Flag(help: "One JSON object: key → value and where it comes from.") var json = false

    func validate() throws {
      if plain && json { throw ValidationError("--plain and --json exclude each other.") }
    }

    func run() throws {
      let loaded = try configuration.load()
      if json {
        print(try loaded.annotatedJSON)
      } else {
        print(plain ? loaded.effectiveYAML : loaded.annotatedYAML, terminator: "")
      }
    }
  }

  struct Reference: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print all keys with type, default, unit and meaning, as Markdown.",
      discussion: """
        The tables of docs/configuration.md, made from what the program reads.
        --update writes them into that file, between its markers.

        EXAMPLES:
          freshet config reference
          freshet config reference trainer
          freshet config reference --update docs/configuration.md
        """)
    @Argument(help: "Only this section, such as trainer or model.tables.") var section: String?
    @Option(help: "A Markdown file whose tables are to be replaced.") var update: String?

    func run() throws {
      let reference = try ConfigurationReference.shipped
      if let update {
        let text: String
        do {
          text = try String(contentsOfFile: update, encoding: .utf8)
          try reference.updated(text).write(toFile: update, atomically: true, encoding: .utf8)
        } catch let error as UsageError {
          throw error
        } catch {
          throw UsageError("\(update): \(error.localizedDescription)")
        }
        return
      }
      print(try reference.markdown(section: section), terminator: "")
    }
  }
}
