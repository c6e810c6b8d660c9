import FreshetCore
import FreshetModel

/// Makes records that fit a model: impressions of users and items with fields made up from their numbers, and actions.
final class EventRecords {
  private let model: ModelSpec
  private let task: TaskSpec
  private let prefix: String
  private var payload = JSONBuffer(capacity: 1024)
  private var keyBuffer = JSONBuffer(capacity: 64)

  /// - Parameter prefix: Sets the request ids of one run apart from those of others.
  init(model: ModelSpec, prefix: String) {
    self.model = model
    task = model.tasks[0]
    self.prefix = prefix
  }

  /// A user's or item's number as requests and records say it.
  static func text(_ field: FieldSpec, _ number: Int) -> String {
    switch field.type {
    case .integer: String(number)
    case .string: "v\(number)"
    case .float: "\(Double(number) + 0.5)"
    }
  }

  typealias Send = (_ key: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) throws -> Void

  func impression(request: Int, user: Int, item: Int, time: UnixTime, _ send: Send) rethrows {
    begin(request: request, user: user, time: time)
    for (position, field) in model.fields.enumerated() where field.source == .request && position != model.userKey {
      append(field, position == model.itemKey ? item : user % 17 + position)
    }
    payload.append("}")
    try send(keyBuffer.bytes, payload.bytes)
  }

  /// An action of the first task, which makes the example a positive or a negative one.
  func action(request: Int, user: Int, isPositive: Bool, time: UnixTime, _ send: Send) rethrows {
    begin(request: request, user: user, time: time)
    payload.append(",\"action\":")
    payload.append(quoted: task.action)
    if case .valueAtLeast(let threshold) = task.positive {
      payload.append(",\"value\":")
      append(text: "\(isPositive ? threshold : threshold - 1)")
    }
    payload.append("}")
    try send(keyBuffer.bytes, payload.bytes)
  }

  func item(_ item: Int, _ send: Send) rethrows {
    payload.removeAll()
    keyBuffer.removeAll()
    let key = model.fields[model.itemKey]
    Self.append(text: Self.text(key, item), to: &keyBuffer)
    payload.append("{")
    appendName(key.name)
    append(value: key, item)
    for (position, field) in model.fields.enumerated() where field.source == .item {
      append(field, item % 23 + position)
    }
    payload.append("}")
    try send(keyBuffer.bytes, payload.bytes)
  }

  // MARK: - JSON

  private func begin(request: Int, user: Int, time: UnixTime) {
    let field = model.fields[model.userKey]
    keyBuffer.removeAll()
    Self.append(text: Self.text(field, user), to: &keyBuffer)
    payload.removeAll()
    payload.append("{\"request_id\":")
    payload.append(quoted: "\(prefix)-\(request)")
    payload.append(",\"event_time\":")
    payload.append(integer: time.milliseconds)
    append(field, user)
  }

  private func append(_ field: FieldSpec, _ number: Int) {
    payload.append(",")
    appendName(field.name)
    if field.multi { payload.append("[") }
    append(value: field, number)
    if field.multi { payload.append("]") }
  }

  private func appendName(_ name: String) {
    payload.append(quoted: name)
    payload.append(":")
  }

  private func append(value field: FieldSpec, _ number: Int) {
    let text = Self.text(field, number)
    if field.type == .string { payload.append(quoted: text) } else { append(text: text) }
  }

  private func append(text: String) { Self.append(text: text, to: &payload) }

  private static func append(text: String, to buffer: inout JSONBuffer) {
    var text = text
    text.withUTF8 { buffer.append(raw: UnsafeRawBufferPointer($0)) }
  }
}
