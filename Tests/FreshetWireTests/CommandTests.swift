import FreshetCore
import NIOCore
import Testing

@testable import FreshetWire

@Suite struct CommandTests {
  private func parse(_ words: [String]) -> Result<ParameterServerCommand, WireError> {
    Result { () throws(WireError) in try ParameterServerCommand(RESPRequest(words)) }
  }

  private func parseServing(_ words: [String], maxCandidates: Int = 10_000) -> Result<ServingCommand, WireError> {
    Result { () throws(WireError) in
      try ServingCommand(RESPRequest(words), limits: ServingLimits(maxCandidates: maxCandidates))
    }
  }

  private func roundTrip(_ encode: (inout RESPEncoder) -> Void) throws -> RESPRequest {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
    encode(&encoder)
    var decoder = RESPRequestDecoder(limits: .requests)
    decoder.append(encoder.buffer)
    let request = try #require(try decoder.next())
    #expect(decoder.bufferedBytes == 0)
    return request
  }

  static let blob = ByteBuffer(bytes: [0, 13, 10, 255])
  static let parameterServerCommands: [ParameterServerCommand] = [
    .claim(PartitionID(3)), .pull(blob), .sync(blob), .row(table: "embedding", fid: .max), .metrics, .snapshot,
    .checksum(format: nil), .checksum(format: "fp16"),
    .info(section: nil), .info(section: "shards"),
    .push(PartitionID(0), Epoch(.max), from: .none, to: Offset(.max), blob),
  ]
  static let servingCommands: [ServingCommand] = [
    .score(model: "m", fields: [], candidates: nil),
    .score(
      model: "m", fields: [RequestField(name: "user_id", value: "1"), RequestField(name: "q", value: "a=b")],
      candidates: RequestCandidates(field: "item_id", values: ["1", "", "TOPK"])),
    .scoreJSON(model: "m", blob), .models, .row(table: "t", fid: 0), .checksum, .info(section: nil),
    .promote(.status), .promote(.abort), .promote(.activate(version: 7)),
    .promote(
      .prepare(
        .init(
          configuration: "model:\n  name: m\n", maximumLagMs: 1, expectedBytes: 0, isForced: false, untilRestart: false)
      )),
    .promote(
      .prepare(
        .init(configuration: "", maximumLagMs: 86_400_000, expectedBytes: .max, isForced: true, untilRestart: true))),
    .recommend(model: "m", fields: [RequestField(name: "g", value: "")], topK: 10_000, filters: [], exclude: []),
    .recommend(model: "m", fields: [], topK: 1, filters: [], exclude: ["5", "6"]),
    .recommend(
      model: "m", fields: [], topK: 1,
      filters: [RequestField(name: "genres", value: "a|b"), RequestField(name: "year", value: "")], exclude: ["5"]),
  ]

  @Test(arguments: parameterServerCommands)
  func aParameterServerCommandSurvivesTheWire(command: ParameterServerCommand) throws {
    #expect(try ParameterServerCommand(roundTrip { command.encode(into: &$0) }) == command)
  }

  @Test(arguments: servingCommands)
  func aServingCommandSurvivesTheWire(command: ServingCommand) throws {
    #expect(try ServingCommand(roundTrip { command.encode(into: &$0) }, limits: .standard) == command)
  }

  @Test func requestsHaveTheirGoldenBytes() {
    #expect(
      encode(.v3) {
        ParameterServerCommand.push(
          PartitionID(2), Epoch(7), from: .none, to: Offset(256), ByteBuffer(string: "xyz")
        ).encode(into: &$0)
      } == "*6\r\n$4\r\nPUSH\r\n$1\r\n2\r\n$1\r\n7\r\n$2\r\n-1\r\n$3\r\n256\r\n$3\r\nxyz\r\n")
    #expect(
      encode(.v2) {
        ServingCommand.score(
          model: "ml", fields: [RequestField(name: "u", value: "1")],
          candidates: RequestCandidates(field: "i", values: ["9"])
        ).encode(into: &$0)
      } == "*6\r\n$5\r\nSCORE\r\n$2\r\nml\r\n$3\r\nu=1\r\n$10\r\nCANDIDATES\r\n$1\r\ni\r\n$1\r\n9\r\n")
  }

  @Test func namesAndKeywordsAreReadInAnyCase() {
    #expect(parse(["claim", "1"]) == .success(.claim(PartitionID(1))))
    #expect(
      parseServing(["ScOrE", "m", "a=1", "candidates", "i", "2"])
        == .success(
          .score(
            model: "m", fields: [RequestField(name: "a", value: "1")],
            candidates: RequestCandidates(field: "i", values: ["2"]))))
    #expect(
      parseServing(["recommend", "m", "topk", "3", "exclude", "9"])
        == .success(.recommend(model: "m", fields: [], topK: 3, filters: [], exclude: ["9"])))
    #expect(parse(["ROW", "t", "0xFF"]) == .success(.row(table: "t", fid: 255)))
  }

  @Test(arguments: [
    (["FOO"], "unknown command 'FOO'; COMMAND LIST names the known ones"),
    (["FO\r\nO"], "unknown command 'FO??O'; COMMAND LIST names the known ones"),
    (["PULL"], "wrong number of arguments for 'pull' command; expected: PULL blob"),
    (["PULL", "a", "b"], "wrong number of arguments for 'pull' command; expected: PULL blob"),
    (
      ["CLAIM", "-1"],
      "partition must be an integer from 0 to 2147483647, not '-1'; expected: CLAIM partition"
    ),
    (
      ["PUSH", "1", "x", "0", "1", ""],
      "epoch must be an integer from 0 to 18446744073709551615, not 'x'; "
        + "expected: PUSH partition epoch from to blob"
    ),
    (
      ["PUSH", "1", "1", "-2", "1", ""],
      "from must be an integer from -1 to 9223372036854775807, not '-2'; "
        + "expected: PUSH partition epoch from to blob"
    ),
    (["PUSH", "1", "1", "5", "4", ""], "from 5 lies behind to 4; expected: PUSH partition epoch from to blob"),
    (
      ["ROW", "t", "-1"],
      "fid must be an unsigned 64-bit integer, decimal or 0x…, not '-1'; expected: ROW table fid"
    ),
    (["INFO", "a", "b"], "wrong number of arguments for 'info' command; expected: INFO [section]"),
  ])
  func aWrongParameterServerRequestSaysWhatIsExpected(words: [String], message: String) {
    #expect(parse(words) == .failure(WireError(.err, message)))
  }

  @Test(arguments: [
    (["SCORE"], "wrong number of arguments for 'score' command"),
    (["SCORE", "m", "user"], "'user' is not field=value; expected: SCORE model"),
    (["SCORE", "m", "=1"], "'=1' is not field=value; expected: SCORE model"),
    (["SCORE", "m", "a=1", "CANDIDATES"], "CANDIDATES needs a field and at least one value"),
    (["SCORE", "m", "a=1", "CANDIDATES", "i"], "CANDIDATES needs a field and at least one value"),
    (["SCOREJSON", "m"], "wrong number of arguments for 'scorejson' command"),
    (["RECOMMEND", "m", "a=1", "b=2"], "TOPK and its number are missing; expected: RECOMMEND model"),
    (["RECOMMEND", "m", "a=1", "TOPK"], "TOPK and its number are missing; expected: RECOMMEND model"),
    (["RECOMMEND", "m", "TOPK", "0"], "TOPK must be an integer from 1 to 10000, not '0'"),
    (["RECOMMEND", "m", "TOPK", "10001"], "TOPK must be an integer from 1 to 10000, not '10001'"),
    (["RECOMMEND", "m", "TOPK", "5", "x"], "expected WHERE or EXCLUDE, not 'x'"),
    (["RECOMMEND", "m", "TOPK", "5", "WHERE", "a=1", "x"], "expected EXCLUDE, not 'x'"),
    (["RECOMMEND", "m", "TOPK", "5", "WHERE", "EXCLUDE", "1"], "WHERE needs at least one field=value"),
    (["PUSH", "1"], "unknown command 'PUSH'"),
  ])
  func aWrongServingRequestSaysWhatIsExpected(words: [String], prefix: String) {
    guard case .failure(let error) = parseServing(words) else {
      Issue.record("accepted")
      return
    }
    #expect(error.kind == .err && error.message.hasPrefix(prefix), "\(error.message)")
  }

  @Test func tooManyCandidatesAreTooBigAndTheLimitItselfIsNot() {
    let values = (0..<5).map(String.init)
    guard case .failure(let error) = parseServing(["SCORE", "m", "CANDIDATES", "i"] + values, maxCandidates: 4) else {
      Issue.record("accepted")
      return
    }
    #expect(error == WireError(.tooBig, "5 candidates in one request; the limit is 4"))
    #expect((try? parseServing(["SCORE", "m", "CANDIDATES", "i"] + values, maxCandidates: 5).get()) != nil)
  }

  @Test func bytesThatAreNotUTF8AreRefusedRatherThanRepaired() throws {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
    encoder.writeCommand("SCORE", argumentCount: 2)
    encoder.writeBulk("m")
    encoder.writeBulk(ByteBuffer(bytes: [0x61, 0x3d, 0xff]))
    var decoder = RESPRequestDecoder(limits: .requests)
    decoder.append(encoder.buffer)
    let request = try #require(try decoder.next())
    let error = #expect(throws: WireError.self) { try ServingCommand(request, limits: .standard) }
    #expect(error?.message == "field (argument 2) is not UTF-8")
  }

  @Test func aCommandNameIsOneToSixteenPrintableCharacters() {
    #expect(CommandName(text: "score")?.text == "SCORE")
    #expect(CommandName(text: "abcdefghijklmnop")?.text == "ABCDEFGHIJKLMNOP")
    #expect(CommandName(text: "abcdefghijklmnopq") == nil)
    #expect(CommandName(text: "") == nil && CommandName(text: "a b") == nil && CommandName(text: "ä") == nil)
    #expect(CommandName(text: "NO-EVICT") == "no-evict" && CommandName(text: "A") != CommandName(text: "B"))
  }
}
