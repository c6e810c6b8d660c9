/// Under which name the catalog of metrics has a value of `INFO`, and of which of several it is.
public struct InfoKey: Sendable {
  /// Instead of the key, or the field's name.
  private(set) var name: String?
  private(set) var labels: [(name: String, value: String)] = []

  /// For keys that say which of several they are of, such as `partition_3`.
  /// - Parameter name: The key without that.
  public static func named(_ name: String, of labels: KeyValuePairs<String, any CustomStringConvertible>) -> InfoKey {
    var key = of(labels)
    key.name = name
    return key
  }

  public static func named(_ name: String) -> InfoKey { .named(name, of: [:]) }

  public static func of(_ labels: KeyValuePairs<String, any CustomStringConvertible>) -> InfoKey {
    var key = InfoKey()
    key.labels = labels.map { ($0.key, "\($0.value)") }
    return key
  }
}

/// One of several values in one line of `INFO`.
public struct InfoField: Sendable {
  let name: String
  let text: String
  let key: InfoKey

  public init(_ name: String, _ value: some CustomStringConvertible, _ key: InfoKey) {
    self.name = name
    text = "\(value)"
    self.key = key
  }
}
