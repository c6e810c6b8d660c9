/// A compacted topic that tells more about what a field of the request names, such as the user.
public struct EnrichmentSpec: Sendable, Equatable {
  /// Unique in the model, 1...255 bytes of UTF-8, neither `request` nor `item`.
  public var name: String
  /// Position in `ModelSpec.fields`: a field of the request with one integer or string, and not the item key. It also is the key
  /// of the topic's records, and in them.
  public var key: Int
  /// The Kafka topic.
  public var topic: String

  public init(name: String, key: Int, topic: String) {
    self.name = name
    self.key = key
    self.topic = topic
  }
}
