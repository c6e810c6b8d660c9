import FreshetWire
import NIOCore

/// What one client has told about itself, and the replies to the commands that every Redis client may send: a state
/// machine without I/O.
struct ConnectionSession {
  enum Outcome: Equatable {
    /// The service's business; the number of words is one that the command's description allows.
    case service
    case unknownCommand
    case reply(RESPValue)
    case replyAndClose(RESPValue)
  }

  let configuration: RESPServerConfiguration
  let builtIns: BuiltInCommands
  let id: Int64
  let peer: String
  private(set) var version = RESPVersion.v2
  private(set) var isAuthenticated: Bool
  private(set) var name = ""

  init(configuration: RESPServerConfiguration, builtIns: BuiltInCommands, id: Int64, peer: String) {
    self.configuration = configuration
    self.builtIns = builtIns
    self.id = id
    self.peer = peer
    isAuthenticated = configuration.password == nil
  }

  mutating func handle(_ request: RESPRequest, name command: CommandName?) -> Outcome {
    let isOpen = command == "AUTH" || command == "HELLO" || command == "QUIT" || command == "RESET"
    guard isAuthenticated || isOpen else {
      return .reply(.error(WireError(.noAuth, Self.authenticationRequired)))
    }
    guard let command, let description = builtIns.descriptions[command] else { return .unknownCommand }
    do throws(WireError) {
      try description.checkArity(request)
      return builtIns.names.contains(command) ? try builtIn(request, command) : .service
    } catch {
      return .reply(.error(error))
    }
  }

  static let authenticationRequired = "Authentication required; send AUTH password or HELLO 3 AUTH default password"

  private mutating func builtIn(_ request: RESPRequest, _ command: CommandName) throws(WireError) -> Outcome {
    switch command {
    case "PING":
      guard request.count <= 2 else {
        throw WireError(.err, "wrong number of arguments for 'ping' command; expected: PING [message]")
      }
      return .reply(request.count == 2 ? .bulk(request[1]) : .simpleString("PONG"))
    case "ECHO": return .reply(.bulk(request[1]))
    case "QUIT": return .replyAndClose(.ok)
    case "RESET":
      version = .v2
      name = ""
      isAuthenticated = configuration.password == nil
      return .reply(.simpleString("RESET"))
    case "SELECT":
      guard request.integer(at: 1) == 0 else { throw WireError(.err, "DB index is out of range; there is only 0") }
      return .reply(.ok)
    case "AUTH": return .reply(try authenticate(request))
    case "HELLO": return .reply(try hello(request))
    case "CLIENT": return .reply(try client(request))
    case "CONFIG": return .reply(try config(request))
    default: return .reply(try builtIns.commandReply(request))
    }
  }

  private mutating func authenticate(_ request: RESPRequest) throws(WireError) -> RESPValue {
    guard request.count <= 3 else {
      throw WireError(.err, "wrong number of arguments for 'auth' command; expected: AUTH [user] password")
    }
    guard configuration.password != nil else {
      throw WireError(.err, "AUTH was sent but no password is configured on this server")
    }
    try checkCredentials(request, user: request.count == 3 ? 1 : nil, password: request.count - 1)
    return .ok
  }

  private mutating func checkCredentials(_ request: RESPRequest, user: Int?, password: Int) throws(WireError) {
    guard let expected = configuration.password else {
      isAuthenticated = true
      return
    }
    let isUser = user.map { request.withBytes(at: $0) { $0.elementsEqual("default".utf8) } } ?? true
    let isPassword = request.withBytes(at: password) { Self.equalInConstantTime($0, Array(expected.utf8)) }
    guard isUser, isPassword else {
      throw WireError(.wrongPass, "invalid username-password pair or user is disabled.")
    }
    isAuthenticated = true
  }

  /// Takes time that depends on the length of `given` only.
  static func equalInConstantTime(_ given: UnsafeRawBufferPointer, _ expected: [UInt8]) -> Bool {
    var difference: UInt8 = given.count == expected.count ? 0 : 1
    for index in 0..<given.count {
      difference |= given[index] ^ (expected.isEmpty ? 0 : expected[index % expected.count])
    }
    return difference == 0
  }

  /// `HELLO [2|3 [AUTH user password] [SETNAME name]]`
  private mutating func hello(_ request: RESPRequest) throws(WireError) -> RESPValue {
    var chosen = version
    var newName: String?
    if request.count > 1 {
      guard let number = request.integer(at: 1), let known = RESPVersion(rawValue: Int(clamping: number)) else {
        throw WireError(.noProto, "unsupported protocol version; this server speaks 2 and 3")
      }
      chosen = known
    }
    var index = 2
    while index < request.count {
      let option = request.withBytes(at: index) { CommandName($0) }
      if option == "AUTH", index + 2 < request.count {
        try checkCredentials(request, user: index + 1, password: index + 2)
        index += 3
      } else if option == "SETNAME", index + 1 < request.count {
        newName = try clientName(request, at: index + 1)
        index += 2
      } else {
        throw WireError(
          .err, "syntax error in HELLO option '\(request.quoted(at: index))'; expected: \(BuiltInCommands.hello.syntax)"
        )
      }
    }
    guard isAuthenticated else {
      throw WireError(
        .noAuth, "HELLO must be called with the client already authenticated, or with AUTH default password")
    }
    version = chosen
    name = newName ?? name
    return .map([
      RESPValue.Entry(key: .bulk("server"), value: .bulk(configuration.serverName)),
      RESPValue.Entry(key: .bulk("version"), value: .bulk(configuration.serverVersion)),
      RESPValue.Entry(key: .bulk("proto"), value: .integer(Int64(version.rawValue))),
      RESPValue.Entry(key: .bulk("id"), value: .integer(id)),
      RESPValue.Entry(key: .bulk("mode"), value: .bulk("standalone")),
      RESPValue.Entry(key: .bulk("role"), value: .bulk("master")),
      RESPValue.Entry(key: .bulk("modules"), value: .array([])),
    ])
  }

  private func clientName(_ request: RESPRequest, at index: Int) throws(WireError) -> String {
    guard let text = request.text(at: index), text.utf8.count <= 256, text.utf8.allSatisfy({ $0 > 32 && $0 < 127 })
    else {
      throw WireError(.err, "Client names cannot contain spaces, newlines or special characters.")
    }
    return text
  }

  private mutating func client(_ request: RESPRequest) throws(WireError) -> RESPValue {
    switch request.withBytes(at: 1, { CommandName($0) }) {
    case "SETNAME" where request.count == 3:
      name = try clientName(request, at: 2)
      return .ok
    case "GETNAME" where request.count == 2: return name.isEmpty ? .null : .bulk(name)
    case "SETINFO" where request.count == 4: return .ok
    case "ID" where request.count == 2: return .integer(id)
    case "INFO" where request.count == 2, "LIST" where request.count >= 2: return .bulk(clientLine + "\n")
    case "NO-EVICT" where request.count == 3, "NO-TOUCH" where request.count == 3: return .ok
    case "REPLY" where request.count == 3 && request.withBytes(at: 2) { CommandName($0) } == "ON": return .ok
    default:
      throw WireError(
        .err,
        "unknown subcommand or wrong number of arguments for 'client|\(request.quoted(at: 1).lowercased())'; "
          + "expected: \(BuiltInCommands.client.syntax)")
    }
  }

  private var clientLine: String {
    "id=\(id) addr=\(peer) name=\(name) db=0 resp=\(version.rawValue) user=default"
  }

  private func config(_ request: RESPRequest) throws(WireError) -> RESPValue {
    guard request.withBytes(at: 1, { CommandName($0) }) == "GET", request.count >= 3 else {
      throw WireError(
        .err,
        "unknown subcommand or wrong number of arguments for 'config|\(request.quoted(at: 1).lowercased())'; "
          + "expected: \(BuiltInCommands.config.syntax)")
    }
    let patterns = (2..<request.count).map { Array(request.quoted(at: $0).lowercased().utf8) }
    let matches = configuration.shownSettings.filter { setting in
      patterns.contains { GlobPattern.matches($0[...], Array(setting.key.lowercased().utf8)[...]) }
    }
    return .map(
      matches.sorted { $0.key < $1.key }.map { RESPValue.Entry(key: .bulk($0.key), value: .bulk($0.value)) })
  }
}
