/// The keys that every record of the input topics has beside its features.
public enum JoinRecord {
  /// Pairs an impression with its actions: text of 1...255 bytes, unique to the impression.
  public static let requestID = "request_id"
  /// When it happened, in milliseconds since 1970: an integer of 0 or more.
  public static let eventTime = "event_time"
  /// What the user did, in `actions`: text.
  public static let action = "action"
  /// How much of it, in `actions`: a number, optional.
  public static let value = "value"

  static let reservedFields: Set<String> = [requestID, eventTime]
}
