/// A value that the program uses, and where it comes from; passwords and secrets are hidden.
public struct EffectiveValue: Sendable {
  public enum Origin: Sendable, Equatable {
    /// The default.
    case standard
    case file(String, line: Int?)
    /// A variable of the environment.
    case environment(String)
    /// `--set` on the command line.
    case option

    public var text: String {
      switch self {
      case .standard: "default"
      case .file(let file, let line): line.map { "\(file):\($0)" } ?? file
      case .environment(let variable): variable
      case .option: "--set"
      }
    }
  }

  /// What may be written there.
  enum Kind: Sendable, Equatable {
    case text
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    case flag
    case choice([String])
    case list
  }

  /// Keys from the root.
  public let path: [String]
  /// As YAML.
  public let value: String
  let kind: Kind
  public let origin: Origin

  public var name: String { path.joined(separator: ".") }
}
