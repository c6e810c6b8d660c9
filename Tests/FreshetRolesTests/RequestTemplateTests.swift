import FreshetCore
import FreshetWire
import NIOCore
import Testing

@testable import FreshetRoles

@Suite struct RequestTemplateTests {
  private func words(_ template: RequestTemplate, seed: UInt64 = 1) throws -> [String] {
    var generator = SeededGenerator(seed: seed)
    var decoder = RESPReplyDecoder(limits: .replies)
    decoder.append(template.encoded(using: &generator))
    let value = try #require(try decoder.next())
    return try #require(value.elements).map { try #require($0.text) }
  }

  @Test func wordsWithoutRangesGoAsTheyAre() throws {
    let template = try RequestTemplate(["SCORE", "m", "user_id=1", "a}b", ""])
    #expect(try words(template) == ["SCORE", "m", "user_id=1", "a}b", ""])
    #expect(template.candidates == 1)
  }

  @Test func rangesBecomeIntegersInsideThem() throws {
    let template = try RequestTemplate([
      "SCORE", "m", "user_id={5..7}", "x={-2..-1}:{3..3}", "CANDIDATES", "item_id", "9", "{1..4}*20",
    ])
    #expect(template.candidates == 21)
    var users: Set<String> = []
    for seed in UInt64(1)...50 {
      let words = try words(template, seed: seed)
      users.insert(words[2])
      #expect(["x=-2:3", "x=-1:3"].contains(words[3]))
      #expect(words.count == 27 && words[6] == "9")
      #expect(words[7...].allSatisfy { (1...4).contains(Int($0) ?? 0) })
    }
    #expect(users == ["user_id=5", "user_id=6", "user_id=7"])
  }

  @Test func theSameSeedGivesTheSameRequest() throws {
    let template = try RequestTemplate(["A", "{0..1000000}*5"])
    #expect(try words(template, seed: 3) == words(template, seed: 3))
    #expect(try words(template, seed: 3) != words(template, seed: 4))
  }

  @Test(arguments: ["{1..}", "{..2}", "{3..2}", "{a..b}", "{1..2", "{1..2}*0", "{1..2}*x", "{1..2}*1000000"])
  func whatCannotBeReadIsRefused(word: String) {
    let error = #expect(throws: UsageError.self) { try RequestTemplate(["SCORE", word]) }
    #expect(error?.message.contains(word) == true)
  }

  @Test func aCommandHasToBeGiven() {
    #expect(throws: UsageError.self) { try RequestTemplate([]) }
  }
}
