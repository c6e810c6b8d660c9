import Testing

@testable import FreshetRoles

@Suite struct NearestNameTests {
  static let known = ["batch_size", "micro_batch_size", "port", "host", "group", "fp16", "bf16"]

  @Test(arguments: [
    ("batchsize", "batch_size"), ("Batch-Size", "batch_size"), ("prot", "port"), ("hots", "host"), ("fp61", "fp16"),
    ("size", "batch_size"), ("batch_size_of_all", "batch_size"), ("groups", "group"),
  ])
  func aNameThatIsLikeAKnownOneFindsIt(name: String, expected: String) {
    #expect(NearestName.of(name, among: Self.known) == expected)
    #expect(NearestName.hint(name, among: Self.known) == "; did you mean `\(expected)`?")
  }

  @Test(arguments: ["", "x", "qqqq", "transformer", "abc"])
  func aNameThatIsLikeNoneFindsNothing(name: String) {
    #expect(NearestName.of(name, among: Self.known) == nil)
    #expect(NearestName.hint(name, among: Self.known).isEmpty)
  }

  @Test func theDistanceCountsLettersThatAreWrong() {
    for (a, b, distance) in [
      ("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("ab", "ba", 1),
      ("trian", "trainer", 3),
    ] {
      #expect(NearestName.distance(a, b) == distance && NearestName.distance(b, a) == distance)
    }
  }
}
