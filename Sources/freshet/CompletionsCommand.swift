import ArgumentParser
import FreshetRoles

struct CompletionsCommand: ParsableCommand {
  enum Shell: String, ExpressibleByArgument, CaseIterable { case bash, zsh, fish }

  static let configuration = CommandConfiguration(
    commandName: "completions", abstract: "Print what a shell needs to complete commands and options.",
    discussion: """
      EXAMPLES:
        source <(freshet completions bash)
        freshet completions zsh > ~/.zfunc/_freshet
        freshet completions fish > ~/.config/fish/completions/freshet.fish
      """)

  @Argument(help: "bash, zsh or fish.") var shell: Shell

  func run() throws {
    let shell: CompletionShell =
      switch self.shell {
      case .bash: .bash
      case .zsh: .zsh
      case .fish: .fish
      }
    print(Freshet.completionScript(for: shell))
  }
}
