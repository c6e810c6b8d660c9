import NIOCore
import Testing

@testable import FreshetHTTP

@Suite struct HTTPRequestTests {
  private static func request(_ target: String, headers: [String: String] = [:]) throws -> HTTPRequest {
    try HTTPRequest(method: "GET", target: target, headers: headers, body: ByteBuffer())
  }

  @Test(arguments: [
    ("/", [""]), ("/v2", ["v2"]), ("/v2/", ["v2", ""]), ("/a//b", ["a", "", "b"]),
    ("/v1/models/m%3Atask:predict?x", ["v1", "models", "m:task:predict"]),
    ("/a%2Fb/%C3%A9", ["a/b", "é"]), ("*", []), ("", []),
  ])
  func aPathIsSplitBeforeItIsDecoded(target: String, segments: [String]) throws {
    #expect(try Self.request(target).segments == segments)
  }

  @Test func aQueryKeepsOrderAndRepetition() throws {
    let query = try Self.request("/r?user_id=1&exclude=a%26b&exclude=c+d&empty=&flag&e=a=b#f").query
    #expect(query.map(\.name) == ["user_id", "exclude", "exclude", "empty", "flag", "e"])
    #expect(query.map(\.value) == ["1", "a&b", "c d", "", "", "a=b"])
  }

  @Test(arguments: ["/%", "/%2", "/%zz", "/%ff", "/a?x=%f", "/a?%ff=1"])
  func anEscapeThatIsNoneIsRefused(target: String) {
    #expect { try Self.request(target) } throws: { ($0 as? HTTPFailure)?.kind == .badRequest }
  }

  @Test func aRefusalIsJSONWithACodeAndSaysHowToGoOn() throws {
    for kind in HTTPFailure.Kind.allCases {
      let reply = HTTPFailure(kind, "say \"why\"").reply
      #expect(reply.status == kind.status)
      #expect(String(buffer: reply.body) == #"{"error":"say \"why\"","code":"\#(kind.rawValue)"}"#)
      #expect((reply.retryAfterSeconds != nil) == [429, 503].contains(reply.status))
      #expect((reply.authenticate != nil) == (reply.status == 401))
    }
    #expect(HTTPFailure.method("PUT", allow: "GET, HEAD").reply.allow == "GET, HEAD")
  }
}

@Suite struct HTTPCredentialsTests {
  /// `default:a:b`, `:a:b`, `root:a:b`, `default:a:`, and no colon at all, in base64.
  @Test(arguments: [
    ("Bearer a:b", true), ("bearer  a:b", true), ("Basic ZGVmYXVsdDphOmI=", true), ("Basic OmE6Yg==", true),
    ("Basic cm9vdDphOmI=", false), ("Basic ZGVmYXVsdDphOg==", false), ("Basic ZGVmYXVsdA==", false), ("Basic ?", false),
    ("Bearer a:b ", false), ("Bearer a:", false), ("Bearer a:bc", false), ("Bearer ", false), ("Bearer", false),
    ("a:b", false), ("Digest a:b", false), ("", false),
  ])
  func onlyThePasswordIsLetIn(header: String, isLetIn: Bool) throws {
    let credentials = try #require(HTTPCredentials(password: "a:b"))
    let request = try HTTPRequest(
      method: "GET", target: "/", headers: ["authorization": header], body: ByteBuffer())
    if isLetIn {
      try credentials.check(request)
    } else {
      #expect { try credentials.check(request) } throws: { ($0 as? HTTPFailure)?.kind == .noAuth }
    }
  }

  @Test func withoutAHeaderThePasswordIsAskedForAndWithoutAPasswordNobodyIs() throws {
    #expect(HTTPCredentials(password: nil) == nil)
    let request = try HTTPRequest(method: "GET", target: "/", headers: [:], body: ByteBuffer())
    #expect { try HTTPCredentials(password: "")?.check(request) } throws: { ($0 as? HTTPFailure)?.kind == .noAuth }
  }
}
