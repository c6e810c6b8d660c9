import FreshetCore
import FreshetModel
import Testing

@Suite struct FeaturesTests {
  @Test(arguments: ["12", #""12""#, #""012""#, "12.0", #""+12""#, #""12.00""#, "1.2e1"])
  func allSpellingsOfAnIntegerAreOneFid(value: String) throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "n", type: .integer)]))
    #expect(try bench.fids(#"{"n":\#(value)}"#) == [Hashing.fid(slot: "n", value: "12")])
  }

  @Test(arguments: [
    ("0", "0"), ("-0", "0"), (#""-0""#, "0"), ("-7", "-7"), ("9223372036854775807", "9223372036854775807"),
    ("-9223372036854775808", "-9223372036854775808"), ("1000000000000000000", "1000000000000000000"),
    ("999999999999999999", "999999999999999999"),
  ])
  func integersAreHashedAsTheirDecimalText(value: String, text: String) throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "n", type: .integer)]))
    #expect(try bench.fids(#"{"n":\#(value)}"#) == [Hashing.fid(slot: "n", value: text)])
  }

  @Test(arguments: [
    "1.5", #""1.5""#, #""""#, #""x""#, #""9223372036854775808""#, "9223372036854775808", "1e30", "true", "[1]", "{}",
    #""12.""#, #""- 1""#, #""99999999999999999999999""#,
  ])
  func garbageInAnIntegerFieldNamesTheFieldAndTheValue(value: String) throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "n", type: .integer)]))
    let error = try #require(bench.error(#"{"n":\#(value)}"#))
    #expect(error.kind == .wrongType && error.field == "n")
    let shown =
      value.contains("[") ? "array" : value.contains("{") ? "object" : String(value.filter { $0 != "\"" }.prefix(3))
    #expect(error.message.contains("`n`") && error.message.contains(shown.prefix(1)))
  }

  @Test func stringsAreHashedAsTheyAre() throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "s")]))
    #expect(try bench.fids(#"{"s":"Ünï\u0063ode \n \ud83d\ude00"}"#) == [Hashing.fid(slot: "s", value: "Ünïcode \n 😀")])
    #expect(try bench.fids(#"{"s":""}"#) == [Hashing.fid(slot: "s", value: "")])
    #expect(bench.error(#"{"s":5}"#)?.kind == .wrongType)
  }

  @Test func floatsAreHashedAsTheirShortestText() throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "f", type: .float)]))
    for value in ["0.1", "1e-1", #""0.10""#] {
      #expect(try bench.fids(#"{"f":\#(value)}"#) == [Hashing.fid(slot: "f", value: "0.1")])
    }
    #expect(try bench.fids(#"{"f":2}"#) == [Hashing.fid(slot: "f", value: "2.0")])
    #expect(try bench.fids(#"{"f":-0.0}"#) == [Hashing.fid(slot: "f", value: "0.0")])
    for value in [#""nan""#, #""inf""#, #""0x10""#, #""1e999""#, #""""#] {
      #expect(bench.error(#"{"f":\#(value)}"#)?.kind == .wrongType)
    }
  }

  @Test func aMissingOrNullFieldLeavesItsSlotEmpty() throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "a"), FieldSpec(name: "b", multi: true)]))
    for json in [
      "{}", #"{"a":null,"b":null}"#, #"{"b":[]}"#, #"{"b":[null]}"#, #"{"b":""}"#, #"{"unknown":{"a":"x"}}"#,
    ] {
      #expect(try bench.row(json).fids.isEmpty)
    }
  }

  @Test func aListGivesOneFidForEachValue() throws {
    let bench = try FeatureBench(
      testModel([FieldSpec(name: "g", multi: true), FieldSpec(name: "n", type: .integer, multi: true)]))
    let expected = ["Drama", "Sci-Fi"].map { Hashing.fid(slot: "g", value: $0) }
    #expect(try bench.fids(#"{"g":["Drama","Sci-Fi"]}"#) == expected)
    #expect(try bench.fids(#"{"g":"Drama|Sci-Fi"}"#) == expected)
    #expect(try bench.fids(#"{"g":["Drama|Sci-Fi"]}"#) == [Hashing.fid(slot: "g", value: "Drama|Sci-Fi")])
    #expect(
      try bench.fids(#"{"n":[1,"2",3.0]}"#, slot: 1) == ["1", "2", "3"].map { Hashing.fid(slot: "n", value: $0) })
    #expect(try bench.fids(#"{"n":7}"#, slot: 1) == [Hashing.fid(slot: "n", value: "7")])
    #expect(bench.error(#"{"n":[1,"x"]}"#)?.kind == .wrongType)
  }

  @Test func moreValuesOrBytesThanAllowedAreErrors() throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "g", multi: true)]))
    let most = (0..<255).map(String.init).joined(separator: "|")
    #expect(try bench.fids(#"{"g":"\#(most)"}"#).count == 255)
    #expect(bench.error(#"{"g":"\#(most)|255"}"#)?.kind == .oversized)
    #expect(bench.error(#"{"g":"\#(String(repeating: "x", count: 4097))"}"#)?.kind == .oversized)
    #expect(try bench.fids(#"{"g":"\#(String(repeating: "x", count: 4096))"}"#).count == 1)
  }

  @Test func ofADuplicateKeyTheLastValueWins() throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "n", type: .integer)]))
    #expect(try bench.fids(#"{"n":1,"n":2}"#) == [Hashing.fid(slot: "n", value: "2")])
    #expect(try bench.fids(#"{"n":1,"n":null}"#).isEmpty)
  }

  @Test(arguments: [("-1", "0"), ("0", "1"), ("9.99", "1"), ("10", "2"), ("1e9", "2")])
  func aBucketIsTheNumberOfBoundariesUpToTheValue(value: String, bucket: String) throws {
    let bench = try FeatureBench(
      testModel([FieldSpec(name: "f", type: .float)]) { $0.slots[0].transform = .bucketize(boundaries: [0, 10]) })
    #expect(try bench.fids(#"{"f":\#(value)}"#) == [Hashing.fid(slot: "f", value: bucket)])
  }

  @Test func aPrefixCountsCharactersAndNotBytes() throws {
    let bench = try FeatureBench(testModel([FieldSpec(name: "z")]) { $0.slots[0].transform = .prefix(characters: 2) })
    for (value, prefix) in [("48067", "48"), ("4", "4"), ("äöü", "äö"), ("", "")] {
      #expect(try bench.fids(#"{"z":"\#(value)"}"#) == [Hashing.fid(slot: "z", value: prefix)])
    }
  }

  @Test func aCrossCombinesAllValuesWhicheverSideTheyAreOn() throws {
    let fields = [
      FieldSpec(name: "a"), FieldSpec(name: "g", multi: true, source: .item), FieldSpec(name: "b"),
      FieldSpec(name: "y", type: .integer, source: .item),
    ]
    let bench = try FeatureBench(
      testModel(fields) { spec in
        for (name, factors) in [("a_b", [0, 2]), ("g_y", [1, 3]), ("a_g_y", [0, 1, 3])] {
          spec.slots.append(SlotSpec(name: name, index: spec.slots.count, fields: factors))
        }
      })
    let row = try bench.row(#"{"a":"A","b":"B","g":["x","z"],"y":7}"#)
    #expect(Array(row.fids(slot: 6)) == [Hashing.fid(slot: "a_b", value: "A\u{1f}B")])
    #expect(Array(row.fids(slot: 7)) == ["x", "z"].map { Hashing.fid(slot: "g_y", value: "\($0)\u{1f}7") })
    #expect(Array(row.fids(slot: 8)) == ["x", "z"].map { Hashing.fid(slot: "a_g_y", value: "A\u{1f}\($0)\u{1f}7") })
    #expect(try bench.row(#"{"a":"A","g":["x"]}"#).fids(slot: 8).isEmpty)
  }

  @Test func ofTooManyValuesTheFirstOnesCount() throws {
    let fields = [
      FieldSpec(name: "a", multi: true), FieldSpec(name: "g", multi: true, source: .item),
      FieldSpec(name: "n", type: .integer, multi: true),
    ]
    let bench = try FeatureBench(
      testModel(fields) { spec in
        spec.slots[0].maximumLength = 2
        spec.slots[2].transform = .bucketize(boundaries: [0, 10])
        spec.slots[2].maximumLength = 3
        for (name, factors) in [("of_one_side", [0, 2]), ("of_both", [0, 1])] {
          spec.slots.append(
            SlotSpec(name: name, index: spec.slots.count, fields: factors, maximumLength: 5))
        }
      })
    let row = try bench.row(#"{"a":["x","y","z"],"g":["u","v"],"n":[20,5,-1,7]}"#)
    #expect(Array(row.fids(slot: 0)) == ["x", "y"].map { Hashing.fid(slot: "a", value: $0) })
    #expect(Array(row.fids(slot: 1)) == ["u", "v"].map { Hashing.fid(slot: "g", value: $0) })
    #expect(Array(row.fids(slot: 2)) == ["2", "1", "0"].map { Hashing.fid(slot: "n", value: $0) })
    // Of a cross the first combinations of all values: a slot's own limit is no limit of the field.
    let oneSide = ["x\u{1f}20", "x\u{1f}5", "x\u{1f}-1", "x\u{1f}7", "y\u{1f}20"]
    #expect(Array(row.fids(slot: 5)) == oneSide.map { Hashing.fid(slot: "of_one_side", value: $0) })
    let both = ["x\u{1f}u", "x\u{1f}v", "y\u{1f}u", "y\u{1f}v", "z\u{1f}u"]
    #expect(Array(row.fids(slot: 6)) == both.map { Hashing.fid(slot: "of_both", value: $0) })
    let short = try bench.row(#"{"a":["x"],"g":["u"]}"#)
    #expect(short.fids(slot: 0).count == 1 && short.fids(slot: 6).count == 1 && short.fids(slot: 5).isEmpty)
  }

  @Test func aCrossWithALengthHasNoTooManyCombinations() throws {
    let fields = (0..<8).map { FieldSpec(name: "f\($0)", multi: true, source: $0 % 2 == 0 ? .item : .request) }
    let bench = try FeatureBench(
      testModel(fields) {
        $0.slots.append(
          SlotSpec(name: "c", index: $0.slots.count, fields: Array(0..<8), maximumLength: 255))
      })
    // 200 to the eighth is more than 64 bits hold.
    let values = (0..<200).map { "\"\($0)\"" }.joined(separator: ",")
    let record = "{" + (0..<8).map { "\"f\($0)\":[\(values)]" }.joined(separator: ",") + "}"
    let fids = try bench.fids(record, slot: 10)
    let expected = (0..<255).map { number in
      let last = [0, 0, 0, 0, 0, 0, number / 200, number % 200]
      return Hashing.fid(slot: "c", value: last.map(String.init).joined(separator: "\u{1f}"))
    }
    #expect(fids == expected)
  }

  @Test func aCrossOfTooManyCombinationsIsAnError() throws {
    let fields = [FieldSpec(name: "a", multi: true), FieldSpec(name: "g", multi: true, source: .item)]
    let bench = try FeatureBench(
      testModel(fields) { $0.slots.append(SlotSpec(name: "c", index: 4, fields: [0, 1])) })
    let values = (0..<16).map { "\"\($0)\"" }.joined(separator: ",")
    #expect(bench.error(#"{"a":[\#(values)],"g":[\#(values)]}"#)?.kind == .oversized)
  }

  @Test func denseFeaturesAreTransformedAndHaveDefaults() throws {
    let fields = [
      FieldSpec(name: "x", type: .float), FieldSpec(name: "y", type: .integer, source: .item),
    ]
    let bench = try FeatureBench(
      testModel(fields) {
        $0.denseFeatures = [
          DenseFeatureSpec(name: "ly", field: 1, transform: .log1p, defaultValue: -3),
          DenseFeatureSpec(name: "x", field: 0),
          DenseFeatureSpec(name: "sx", field: 0, transform: .standardize(mean: 10, deviation: 4)),
        ]
      })
    #expect(try bench.row(#"{"x":12,"y":-1}"#).dense == [-Float(0.6931472), 12, 0.5])
    #expect(try bench.row("{}").dense == [-3, 0, 0])
    #expect(try bench.row(#"{"x":1e300}"#).dense[1] == Float.greatestFiniteMagnitude)
  }

  @Test func textPairsAndJSONGiveTheSameFeatures() throws {
    let bench = try FeatureBench(.movieLens)
    let json = try bench.row(
      #"{"user_id":1,"item_id":1193,"gender":"F","age":1,"occupation":10,"zip":"48067","year":1975,"genres":["Drama","War"]}"#
    )
    let pairs = try bench.row(pairs: [
      ("genres", "Drama|War"), ("user_id", "01"), ("item_id", "1193"), ("gender", "F"), ("age", "1"),
      ("occupation", "10"), ("zip", "48067"), ("year", "1975"),
    ])
    #expect(json == pairs)
    #expect(json.fids.count == 9)
    #expect(Array(json.fids(slot: 5)) == [Hashing.fid(slot: "zip", value: "48")])
    #expect(try !bench.extractor.set(name: "nonsense", text: "1", into: bench.scratch))
    #expect(try !bench.extractor.set(name: "request_id", text: "1", into: bench.scratch))
  }

  /// Names that agree in length and in their first and last eight bytes still are different fields.
  @Test func fieldsAreFoundByTheirWholeName() throws {
    let names = (0..<200).map { "prefix__\($0 + 100)__suffixx" } + ["a", "ab", "b", ""].filter { !$0.isEmpty }
    let bench = try FeatureBench(testModel(names.map { FieldSpec(name: $0) }))
    for (index, name) in names.enumerated() {
      #expect(try bench.fids(#"{"\#(name)":"v"}"#, slot: index) == [Hashing.fid(slot: name, value: "v")])
    }
    #expect(try bench.row(#"{"prefix__999__suffixx":"v"}"#).fids.isEmpty)
  }
}
