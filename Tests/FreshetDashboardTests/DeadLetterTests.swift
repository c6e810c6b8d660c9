import FreshetCore
import FreshetModel
import Testing

@testable import FreshetDashboard

@Suite struct DeadLetterTests {
  private static func letter(_ record: [UInt8]) -> DeadLetter {
    let reader = JSONRecordReader(maxBytes: 1 << 20, maxDepth: 32)
    return record.withUnsafeBytes { DeadLetter(record: $0, position: "dead-letter 0@3", time: nil, reader: reader) }
  }

  private static func letter(_ text: String) -> DeadLetter { letter(Array(text.utf8)) }

  @Test func aRecordOfFreshetIsShownWithReasonAndOrigin() {
    let letter = Self.letter(
      #"{"offset":4711,"partition":2,"payload":"{\"a\":1}","reason":"`event_time` is missing","reason_code":"missing-field","role":"joiner","topic":"features"}"#
    )
    #expect(letter.code == "missing-field" && letter.reason == "`event_time` is missing" && letter.role == "joiner")
    #expect(letter.origin == "features 2@4711" && letter.payload == #"{"a":1}"# && !letter.isCut)
  }

  @Test func rowsOfFilesAndBytesThatAreNoTextAreShown() {
    let row = Self.letter(
      #"{"reason_code":"bad-row","reason":"r","role":"replay","file":"f.csv","line":12,"payload":"x"}"#)
    #expect(row.origin == "f.csv line 12")
    let binary = Self.letter(
      #"{"reason_code":"malformed-json","reason":"r","role":"joiner","topic":"t","partition":0,"offset":1,"payload_base64":"//4="}"#
    )
    #expect(binary.payload == "base64: //4=")
  }

  @Test(arguments: ["", "[1,2]", "{", "{\"reason\":\"no code\"}", "\u{0}\u{1}<img src=x onerror=alert(1)>"])
  func whatElseIsInTheTopicIsShownAsItIs(_ text: String) {
    let letter = Self.letter(text)
    #expect(letter.code == "foreign" && letter.origin == "dead-letter 0@3")
    #expect(letter.payload == VisibleText.excerpt(text, limit: 400).text)
  }

  @Test func bytesThatAreNoUTF8DoNotTrap() {
    #expect(Self.letter([0xff, 0xfe, 0x00]).code == "foreign")
    for length in 0..<64 {
      var generator = SeededGenerator(seed: UInt64(length))
      _ = Self.letter((0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
  }

  @Test func longTextsAreCutAndHiddenCharactersSeen() {
    let long = Self.letter(
      #"{"reason_code":"x","reason":"\#(String(repeating: "r", count: 5_000))","payload":"\#(String(repeating: "p", count: 5_000))"}"#
    )
    #expect(long.reason.count == DeadLetter.reasonLimit && long.payload.count == DeadLetter.payloadLimit && long.isCut)
    #expect(VisibleText.excerpt("a\u{0}b\u{202E}c\n\u{200B}é日", limit: 20).text == "a⟨0⟩b⟨202E⟩c⟨A⟩⟨200B⟩é日")
  }
}
