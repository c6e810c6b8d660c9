import Foundation
import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct ReplayEncoderTests {
  private static func data() -> MovieLensData {
    var data = MovieLensData()
    data.users = [1, 4_294_967_295]
    data.items = [1193, 0]
    data.values = [5000, 3500]
    data.seconds = [978_300_760, 1]
    data.profiles = [1: MovieLensData.User(gender: "F", age: 1, occupation: 10, zip: "48067-\"x\"\\")]
    return data
  }

  @Test func writesTheGoldenRecords() {
    var encoder = EventEncoder(profiles: [1: MovieLensData.User(gender: "F", age: 1, occupation: 10, zip: "48067")])
    let data = Self.data()
    encoder.encode(.init(kind: .impression, row: 0, eventTime: 978_300_759_001, requestHash: 0xab), data)
    #expect(String(decoding: encoder.key, as: UTF8.self) == "1")
    #expect(
      String(decoding: encoder.payload, as: UTF8.self)
        == #"{"request_id":"00000000000000ab","event_time":978300759001,"user_id":1,"item_id":1193,"#
        + #""gender":"F","age":1,"occupation":10,"zip":"48067"}"#)
    encoder.encode(.init(kind: .rating, row: 0, eventTime: 978_300_760_000, requestHash: .max), data)
    #expect(String(decoding: encoder.key, as: UTF8.self) == "1")
    #expect(
      String(decoding: encoder.payload, as: UTF8.self)
        == #"{"request_id":"ffffffffffffffff","event_time":978300760000,"user_id":1,"action":"rating","value":5}"#)
    encoder.encode(MovieLensData.Movie(id: 7, title: "A \"B\" (1975)", year: 1975, genres: ["Drama", "War"]))
    #expect(String(decoding: encoder.key, as: UTF8.self) == "7")
    #expect(
      String(decoding: encoder.payload, as: UTF8.self)
        == #"{"item_id":7,"title":"A \"B\" (1975)","year":1975,"genres":["Drama","War"]}"#)
    encoder.encode(MovieLensData.Movie(id: 8, title: "C", year: nil, genres: []))
    #expect(String(decoding: encoder.payload, as: UTF8.self) == #"{"item_id":8,"title":"C","genres":[]}"#)
  }

  @Test func leavesOutWhatIsNotKnownOfAUser() throws {
    var encoder = EventEncoder(profiles: Self.data().profiles)
    encoder.encode(.init(kind: .impression, row: 1, eventTime: 0, requestHash: 1), Self.data())
    let object = try jsonObject(encoder.payload)
    #expect(Set(object.keys) == ["request_id", "event_time", "user_id", "item_id"])
    #expect(object["user_id"] as? Int == 4_294_967_295)
    encoder.encode(.init(kind: .impression, row: 0, eventTime: 0, requestHash: 1), Self.data())
    #expect(try jsonObject(encoder.payload)["zip"] as? String == "48067-\"x\"\\")
  }

  @Test func everyTextSurvivesTheWayThroughJSON() throws {
    var generator = SeededGenerator(seed: 11)
    var buffer = JSONBuffer(capacity: 1)
    for _ in 0..<500 {
      var text = ""
      for _ in 0..<generator.next() % 40 {
        // Half of them below 128, where everything that needs escaping is.
        let limit: UInt64 = generator.next() % 2 == 0 ? 128 : 0x11_0000
        text.unicodeScalars.append(Unicode.Scalar(UInt32(generator.next() % limit)) ?? "\u{fffd}")
      }
      buffer.removeAll()
      buffer.append("{\"t\":")
      buffer.append(quoted: text)
      buffer.append("}")
      #expect(try jsonObject(buffer.bytes)["t"] as? String == text)
    }
  }

  @Test func numbersAreWrittenAsSwiftWritesThem() {
    var generator = SeededGenerator(seed: 12)
    var buffer = JSONBuffer(capacity: 1)
    var numbers: [Int64] = [0, 9, 10, 99, -1, .max, .min, 1_000_000_000_000_000_000, 999_999_999_999_999_999]
    numbers += (0..<500).map { _ in Int64(bitPattern: generator.next()) >> Int64(generator.next() % 64) }
    for number in numbers {
      buffer.removeAll()
      buffer.append(integer: number)
      #expect(String(decoding: buffer.bytes, as: UTF8.self) == String(number))
    }
    for (thousandths, text) in [
      (Int32(0), "0"), (5000, "5"), (3500, "3.5"), (500, "0.5"), (50, "0.05"), (-1005, "-1.005"),
      (999_999_999, "999999.999"),
    ] {
      buffer.removeAll()
      buffer.append(thousandths: thousandths)
      #expect(String(decoding: buffer.bytes, as: UTF8.self) == text)
    }
    buffer.removeAll()
    buffer.append(hex: 0x0123_4567_89ab_cdef)
    #expect(String(decoding: buffer.bytes, as: UTF8.self) == "0123456789abcdef")
  }

  @Test func deadLettersNameTheRowAndKeepItsBytes() throws {
    var encoder = EventEncoder(profiles: [:])
    let text = BadRow(file: "/d/ratings.dat", line: 3, reason: "user id \"x\"", bytes: Array("x::1\t\"".utf8))
    encoder.encode(text, topic: "actions")
    var object = try jsonObject(encoder.payload)
    #expect(object["reason_code"] as? String == "unparsable-row")
    #expect(object["reason"] as? String == "/d/ratings.dat:3: user id \"x\"")
    #expect(object["topic"] as? String == "actions" && object["role"] as? String == "replay")
    #expect(object["line"] as? Int == 3 && object["file"] as? String == "/d/ratings.dat")
    #expect(object["payload"] as? String == "x::1\t\"")
    #expect(encoder.key.isEmpty)
    for count in 1...9 {
      let bytes = (0..<count).map { UInt8(0xff - $0 * 28) }
      encoder.encode(BadRow(file: "f", line: 1, reason: "r", bytes: bytes), topic: "t")
      object = try jsonObject(encoder.payload)
      #expect(Data(base64Encoded: object["payload_base64"] as? String ?? "") == Data(bytes))
      #expect(object["payload"] == nil)
    }
  }

  @Test func deadLettersOfHugeRowsAreCutAndSaySo() throws {
    var encoder = EventEncoder(profiles: [:])
    let bytes = [UInt8](repeating: 0x61, count: EventEncoder.deadLetterPayloadLimitBytes + 5)
    encoder.encode(BadRow(file: "f", line: 1, reason: "r", bytes: bytes), topic: "t")
    let object = try jsonObject(encoder.payload)
    #expect((object["payload"] as? String)?.utf8.count == EventEncoder.deadLetterPayloadLimitBytes)
    #expect(object["payload_size_bytes"] as? Int == bytes.count)
  }
}
