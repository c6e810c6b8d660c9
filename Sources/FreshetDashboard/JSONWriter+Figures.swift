import FreshetHTTP

extension JSONWriter {
  mutating func member(_ name: String, _ value: String?) {
    key(name)
    if let value { write(value) } else { writeNull() }
  }

  mutating func member(_ name: String, _ value: Int64?) {
    key(name)
    if let value { write(value) } else { writeNull() }
  }

  mutating func member(_ name: String, _ value: Int) { member(name, Int64(value)) }

  /// With five decimals, whole numbers as integers.
  mutating func member(_ name: String, _ value: Double?) {
    key(name)
    figure(value)
  }

  mutating func figure(_ value: Double?) {
    guard let value, value.isFinite, abs(value) < 1e15 else { return writeNull() }
    let rounded = (value * 1e5).rounded() / 1e5
    if rounded == rounded.rounded() { write(Int64(rounded)) } else { write(rounded) }
  }

  mutating func object(_ name: String, _ body: (inout JSONWriter) -> Void) {
    key(name)
    beginObject()
    body(&self)
    endObject()
  }

  mutating func array<Element>(_ name: String, _ elements: [Element], _ body: (inout JSONWriter, Element) -> Void) {
    key(name)
    beginArray()
    for element in elements { body(&self, element) }
    endArray()
  }
}
