import FreshetCore
import FreshetModel

/// A record of the dead-letter topic, as far as it is shown.
public struct DeadLetter: Sendable, Equatable {
  static let reasonLimit = 300
  static let payloadLimit = 400
  static let wordLimit = 80

  /// When it was written, by the broker.
  public var time: UnixTime?
  public var code: String
  public var reason: String
  /// Who wrote it.
  public var role: String
  /// Where the record came from: `features 2@4711`, or a file and a line.
  public var origin: String
  public var payload: String
  public var isCut: Bool

  /// From a record as roles write it, or whatever else is in the topic.
  /// - Parameter position: Of the record in the dead-letter topic.
  public init(record: UnsafeRawBufferPointer, position: String, time: UnixTime?, reader: JSONRecordReader) {
    self.time = time
    func shown(_ value: JSONValue?, limit: Int) -> String? {
      guard let value else { return nil }
      switch value.kind {
      case .string: return VisibleText.excerpt(value.string ?? "", limit: limit).text
      case .int64: return String(value.int64)
      default: return nil
      }
    }
    guard let root = try? reader.parse(record), root.kind == .object, let code = shown(root["reason_code"], limit: 40)
    else {
      (self.code, role, origin) = ("foreign", "", position)
      reason = "is not a record that Freshet writes"
      let text = String(decoding: record.prefix(Self.payloadLimit * 4), as: UTF8.self)
      (payload, isCut) = VisibleText.excerpt(text, limit: Self.payloadLimit)
      return
    }
    self.code = code
    reason = shown(root["reason"], limit: Self.reasonLimit) ?? ""
    role = shown(root["role"], limit: Self.wordLimit) ?? ""
    if let file = shown(root["file"], limit: Self.wordLimit) {
      origin = "\(file) line \(shown(root["line"], limit: 20) ?? "?")"
    } else {
      let topic = shown(root["topic"], limit: Self.wordLimit) ?? "?"
      origin = "\(topic) \(shown(root["partition"], limit: 20) ?? "?")@\(shown(root["offset"], limit: 20) ?? "?")"
    }
    if let text = root["payload"]?.string {
      (payload, isCut) = VisibleText.excerpt(text, limit: Self.payloadLimit)
    } else if let text = root["payload_base64"]?.string {
      let (start, isCut) = VisibleText.excerpt(text, limit: Self.payloadLimit)
      (payload, self.isCut) = ("base64: " + start, isCut)
    } else {
      (payload, isCut) = ("", false)
    }
  }
}

/// The last dead letters, oldest first.
struct DeadLetterTail: Sendable {
  static let capacity = 50

  private(set) var recent: [DeadLetter] = []

  mutating func append(_ letter: DeadLetter) {
    if recent.count == Self.capacity { recent.removeFirst() }
    recent.append(letter)
  }
}
