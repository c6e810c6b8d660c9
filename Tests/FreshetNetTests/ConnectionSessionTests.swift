import FreshetWire
import NIOCore
import Testing

@testable import FreshetNet

@Suite struct ConnectionSessionTests {
  private func session(password: String? = nil) -> ConnectionSession {
    let configuration = configuration(password: password)
    return ConnectionSession(
      configuration: configuration, builtIns: BuiltInCommands(service: configuration.commands), id: 7, peer: "1.2.3.4:5"
    )
  }

  private func error(_ kind: WireError.Code, _ outcome: ConnectionSession.Outcome) -> Bool {
    if case .reply(.error(let error)) = outcome { error.kind == kind } else { false }
  }

  @Test func whatEveryRedisClientSendsIsAnswered() {
    var session = session()
    #expect(session.answer("PING") == .reply(.simpleString("PONG")))
    #expect(session.answer("ping", "x") == .reply(.bulk("x")))
    #expect(session.answer("ECHO", "a b") == .reply(.bulk("a b")))
    #expect(session.answer("SELECT", "0") == .reply(.ok))
    #expect(error(.err, session.answer("SELECT", "1")))
    #expect(session.answer("CLIENT", "SETINFO", "LIB-NAME", "redis-py") == .reply(.ok))
    #expect(session.answer("CLIENT", "GETNAME") == .reply(.null))
    #expect(session.answer("CLIENT", "SETNAME", "me") == .reply(.ok))
    #expect(session.answer("CLIENT", "getname") == .reply(.bulk("me")))
    #expect(session.answer("CLIENT", "ID") == .reply(.integer(7)))
    #expect(session.answer("CLIENT", "NO-EVICT", "on") == .reply(.ok))
    #expect(session.answer("CLIENT", "REPLY", "ON") == .reply(.ok))
    #expect(error(.err, session.answer("CLIENT", "REPLY", "OFF")))
    #expect(error(.err, session.answer("CLIENT", "SETNAME", "a b")))
    #expect(
      session.answer("CLIENT", "LIST")
        == .reply(.bulk("id=7 addr=1.2.3.4:5 name=me db=0 resp=2 user=default\n")))
    #expect(session.answer("QUIT") == .replyAndClose(.ok))
  }

  @Test func otherCommandsGoToTheServiceAndUnknownOnesDoNot() {
    var session = session()
    #expect(session.answer("double", "1") == .service)
    #expect(session.answer("DOUBLES", "1") == .unknownCommand)
    let arity = WireError(.err, "wrong number of arguments for 'double' command; expected: DOUBLE integer")
    #expect(session.answer("DOUBLE") == .reply(.error(arity)))
    #expect(session.answer("DOUBLE", "1", "2") == .reply(.error(arity)))
    #expect(session.answer("a b") == .unknownCommand)
  }

  @Test func helloChoosesTheVersionAndTellsTheServer() throws {
    var session = session()
    guard case .reply(let reply) = session.answer("HELLO", "3", "SETNAME", "me") else {
      Issue.record("no reply")
      return
    }
    #expect(session.version == .v3 && session.name == "me")
    #expect(reply["server"] == .bulk("freshet") && reply["proto"] == .integer(3) && reply["id"] == .integer(7))
    #expect(error(.noProto, session.answer("HELLO", "4")))
    #expect(error(.noProto, session.answer("HELLO", "x")))
    #expect(error(.err, session.answer("HELLO", "2", "FOO")))
    #expect(session.version == .v3)
    #expect(session.answer("RESET") == .reply(.simpleString("RESET")))
    #expect(session.version == .v2 && session.name.isEmpty)
  }

  @Test func withAPasswordOnlyAuthenticationIsAnsweredUntilItIsGiven() {
    var session = session(password: "open sesame")
    for words in [["PING"], ["DOUBLE", "1"], ["COMMAND"], ["CONFIG", "GET", "*"], ["HELLO", "3"], ["HELLO"]] {
      #expect(error(.noAuth, session.answer(words)), "\(words)")
    }
    #expect(session.answer("NOSUCH") == .reply(.error(WireError(.noAuth, ConnectionSession.authenticationRequired))))
    for words in [
      ["AUTH", "open sesamE"], ["AUTH", ""], ["AUTH", "open sesame!"], ["AUTH", "other", "open sesame"],
      ["HELLO", "3", "AUTH", "default", "no"],
    ] {
      #expect(error(.wrongPass, session.answer(words)), "\(words)")
    }
    #expect(!session.isAuthenticated && session.version == .v2)
    #expect(session.answer("AUTH", "default", "open sesame") == .reply(.ok))
    #expect(session.answer("DOUBLE", "1") == .service)
    #expect(session.answer("RESET") == .reply(.simpleString("RESET")))
    #expect(error(.noAuth, session.answer("DOUBLE", "1")))
    _ = session.answer("HELLO", "3", "AUTH", "default", "open sesame")
    #expect(session.isAuthenticated && session.version == .v3)
  }

  @Test func authWithoutAPasswordConfiguredIsAnErrorAndHelloAuthIsNot() {
    var session = session()
    #expect(error(.err, session.answer("AUTH", "x")))
    #expect(error(.err, session.answer("AUTH", "a", "b", "c")))
    _ = session.answer("HELLO", "3", "AUTH", "default", "x")
    #expect(session.version == .v3)
  }

  @Test(arguments: [[], ["a"], ["open", "sesame"], ["open sesame", "open sesame"]])
  func passwordsAreEqualOnlyIfAllBytesAre(parts: [String]) {
    let given = parts.joined()
    var copy = given
    let isEqual = copy.withUTF8 {
      ConnectionSession.equalInConstantTime(UnsafeRawBufferPointer($0), Array("open sesame".utf8))
    }
    #expect(!isEqual)
    #expect(copy.withUTF8 { ConnectionSession.equalInConstantTime(UnsafeRawBufferPointer($0), Array(given.utf8)) })
  }

  @Test func configGetShowsWhatMatchesInRedisForm() {
    var session = session()
    let entry = RESPValue.Entry(key: .bulk("sync-interval"), value: .bulk("500"))
    #expect(session.answer("CONFIG", "GET", "SYNC-*") == .reply(.map([entry])))
    #expect(session.answer("CONFIG", "GET", "nothing") == .reply(.map([])))
    guard case .reply(let both) = session.answer("CONFIG", "GET", "save", "s?nc-interval") else { return }
    #expect(both.entries?.count == 2 && both["save"] == .bulk(""))
    #expect(error(.err, session.answer("CONFIG", "SET", "save", "x")))
  }

  @Test(arguments: [
    ("*", "", true), ("a*c", "abbc", true), ("a*c", "abbd", false), ("*b*b*", "abab", true), ("?", "", false),
    ("??", "ab", true), ("", "a", false), ("**", "a", true), ("a", "a", true),
  ])
  func globPatternsMatchLikeInRedis(pattern: String, text: String, matches: Bool) {
    #expect(GlobPattern.matches(Array(pattern.utf8)[...], Array(text.utf8)[...]) == matches)
  }

  @Test func commandListsBuiltInAndServiceCommands() {
    var session = session()
    #expect(session.answer("COMMAND", "COUNT") == .reply(.integer(16)))
    guard case .reply(let list) = session.answer("COMMAND", "LIST"),
      case .reply(let info) = session.answer("COMMAND", "INFO", "double", "nosuch"),
      case .reply(let docs) = session.answer("COMMAND", "DOCS", "double"),
      case .reply(let all) = session.answer("COMMAND")
    else {
      Issue.record("no reply")
      return
    }
    let names = list.elements?.compactMap(\.text) ?? []
    #expect(names == names.sorted() && names.contains("double") && names.contains("ping"))
    #expect(info.elements?.first?.elements?.prefix(2) == [.bulk("double"), .integer(2)])
    #expect(info.elements?.last == .null)
    #expect(docs["double"]?["summary"] == .bulk("Twice the integer (DOUBLE integer)"))
    #expect(all.elements?.count == 16)
    #expect(error(.err, session.answer("COMMAND", "FOO")))
  }
}

extension ConnectionSession {
  mutating func answer(_ words: String...) -> Outcome { answer(words) }

  mutating func answer(_ words: [String]) -> Outcome {
    let request = RESPRequest(words)
    return handle(request, name: request.name)
  }
}
