import FreshetWire

/// The commands that every port has, and COMMAND, which lists them together with the service's.
struct BuiltInCommands: Sendable {
  static let hello = CommandDescription(
    name: "HELLO", arity: -1, syntax: "HELLO [2|3 [AUTH user password] [SETNAME name]]",
    summary: "Choose the protocol version and authenticate")
  static let client = CommandDescription(
    name: "CLIENT", arity: -2,
    syntax: "CLIENT SETNAME name | GETNAME | SETINFO attribute value | ID | INFO | LIST | NO-EVICT on|off | "
      + "NO-TOUCH on|off | REPLY ON",
    summary: "What the server knows about this connection")
  static let config = CommandDescription(
    name: "CONFIG", arity: -2, syntax: "CONFIG GET pattern …", summary: "Show settings")
  static let command = CommandDescription(
    name: "COMMAND", arity: -1, syntax: "COMMAND [COUNT | LIST | DOCS [name …] | INFO [name …]]",
    summary: "The commands of this port")

  static let all = [
    CommandDescription(name: "PING", arity: -1, syntax: "PING [message]", summary: "Ask whether the server is there"),
    CommandDescription(name: "ECHO", arity: 2, syntax: "ECHO message", summary: "Send a text back"),
    CommandDescription(name: "AUTH", arity: -2, syntax: "AUTH [user] password", summary: "Authenticate"),
    CommandDescription(name: "QUIT", arity: -1, syntax: "QUIT", summary: "Close the connection"),
    CommandDescription(name: "RESET", arity: 1, syntax: "RESET", summary: "Forget what this connection has set"),
    CommandDescription(name: "SELECT", arity: 2, syntax: "SELECT 0", summary: "Choose the only database"),
    hello, client, config, command,
  ]

  let names: Set<CommandName>
  /// Built-in ones and the service's.
  let descriptions: [CommandName: CommandDescription]
  private let sorted: [CommandDescription]

  /// - Parameter service: A built-in command of the same name wins.
  init(service: [CommandDescription]) {
    names = Set(Self.all.map(\.name))
    descriptions = Dictionary(
      (Self.all + service).map { ($0.name, $0) }, uniquingKeysWith: { builtIn, _ in builtIn })
    sorted = descriptions.values.sorted { $0.name.text < $1.name.text }
  }

  func commandReply(_ request: RESPRequest) throws(WireError) -> RESPValue {
    guard request.count > 1 else { return .array(sorted.map(Self.info)) }
    let subcommand = request.withBytes(at: 1) { CommandName($0) }
    switch subcommand {
    case "COUNT" where request.count == 2: return .integer(Int64(sorted.count))
    case "LIST" where request.count == 2: return .array(sorted.map { .bulk($0.name.text.lowercased()) })
    case "INFO":
      guard request.count > 2 else { return .array(sorted.map(Self.info)) }
      return .array(selected(request).map { $0.map(Self.info) ?? .null })
    case "DOCS":
      let chosen = request.count > 2 ? selected(request).compactMap { $0 } : sorted
      return .map(chosen.map { RESPValue.Entry(key: .bulk($0.name.text.lowercased()), value: Self.docs($0)) })
    default:
      throw WireError(
        .err,
        "unknown subcommand or wrong number of arguments for 'command|\(request.quoted(at: 1).lowercased())'; "
          + "expected: \(Self.command.syntax)")
    }
  }

  private func selected(_ request: RESPRequest) -> [CommandDescription?] {
    (2..<request.count).map { index in request.withBytes(at: index) { CommandName($0) }.flatMap { descriptions[$0] } }
  }

  /// The ten-element array of COMMAND INFO. No command has keys.
  private static func info(_ description: CommandDescription) -> RESPValue {
    .array([
      .bulk(description.name.text.lowercased()), .integer(Int64(description.arity)), .array([]), .integer(0),
      .integer(0), .integer(0), .array([]), .array([]), .array([]), .array([]),
    ])
  }

  private static func docs(_ description: CommandDescription) -> RESPValue {
    .map([
      RESPValue.Entry(key: .bulk("summary"), value: .bulk("\(description.summary) (\(description.syntax))")),
      RESPValue.Entry(key: .bulk("since"), value: .bulk("0.1.0")),
      RESPValue.Entry(key: .bulk("group"), value: .bulk("server")),
    ])
  }
}
