import FreshetCore

/// Whether the state that is found on disk can be gone on from.
public enum JoinerStateCheck: Equatable, Sendable {
  /// There is none; it has been given its identity now.
  case empty
  /// It is that of an earlier commit, and the log still holds what came after it.
  case usable(JoinerCommitPoint)
  /// It has to be set aside.
  case useless(String)

  /// - Parameters:
  ///   - identity: What the state means: `JoinerConfig.stateIdentity`.
  ///   - committed: Where the group has committed.
  ///   - logStarts: The first offsets that the topics still hold.
  public static func run(
    _ store: any JoinerStateStore, identity: String, committed: JoinerCommitPoint,
    logStarts: (features: Int64, actions: Int64)
  ) throws(JoinerStateError) -> JoinerStateCheck {
    guard let found = try value(StateRecord.identityKey, store) else {
      var isEmpty = true
      for family in JoinerStateFamily.allCases {
        try store.scan(family, from: []) { _, _ in
          isEmpty = false
          return false
        }
      }
      guard isEmpty else { return .useless("it does not say what it is") }
      let batch = JoinerStateBatch()
      batch.put(.about, key: StateRecord.identityKey, value: Array(identity.utf8))
      try store.apply(batch, expiry: JoinerStateExpiry(impressionsBeforeMs: .min, closingsBeforeMs: .min))
      return .empty
    }
    guard found == identity else { return .useless("it was made with other settings or by another version") }
    guard let text = try value(StateRecord.positionKey, store) else {
      var isEmpty = true
      try store.scan(.impressions, from: []) { _, _ in
        isEmpty = false
        return false
      }
      return isEmpty ? .empty : .useless("it was being rebuilt and is not complete")
    }
    guard let point = try? JoinerCommitPoint(text: text) else { return .useless("its position `\(text)` is none") }
    let isAhead =
      point.featureNext > committed.featureNext || point.actionNext > committed.actionNext
      || (point.streamTimeMs ?? .min) > (committed.streamTimeMs ?? .min)
    guard !isAhead else {
      return .useless("it is at `\(point.text)`, ahead of the group's commit `\(committed.text)`")
    }
    guard logStarts.features <= point.featureNext, logStarts.actions <= point.actionNext else {
      return .useless("the log no longer holds what came after its position `\(point.text)`")
    }
    return .usable(point)
  }

  private static func value(_ key: [UInt8], _ store: any JoinerStateStore) throws(JoinerStateError) -> String? {
    var found: String?
    try store.scan(.about, from: key) { name, value in
      if name.elementsEqual(key) { found = String(decoding: value, as: UTF8.self) }
      return false
    }
    return found
  }
}

extension JoinerConfig {
  /// Tells states apart that must not be mixed: another schema, window, or rule gives another text.
  /// - Parameters:
  ///   - schema: `ModelSpec.fingerprint`.
  ///   - place: Group, topics and partition.
  public func stateIdentity(schema: UInt32, place: String) -> String {
    // Bounds and wall times do not change what the state means.
    var meaning = self
    let standard = JoinerConfig()
    meaning.idleTimeoutMs = standard.idleTimeoutMs
    meaning.idleHoldMs = standard.idleHoldMs
    meaning.maxQueuedRecords = standard.maxQueuedRecords
    meaning.maxQueuedBytes = standard.maxQueuedBytes
    meaning.maxWaitingFeatures = standard.maxWaitingFeatures
    meaning.maxWaitingFeatureBytes = standard.maxWaitingFeatureBytes
    meaning.maxUnwrittenBytes = standard.maxUnwrittenBytes
    meaning.closingsInMemory = standard.closingsInMemory
    meaning.maxOutputBytes = standard.maxOutputBytes
    meaning.itemRefreshIntervalMs = standard.itemRefreshIntervalMs
    meaning.clockSkewMs = standard.clockSkewMs
    let rules = String(Hashing.xxh3(String(describing: meaning)), radix: 16)
    return "freshet joiner state \(StateRecord.format) schema \(String(schema, radix: 16)) rules \(rules) \(place)"
  }
}
