import FreshetCore

/// Writes the JSON records of the replay and their Kafka keys.
///
/// Keys and payloads stay valid until the next record is encoded. Nothing is allocated per event.
struct EventEncoder: ~Copyable {
  private var keyBuffer = JSONBuffer(capacity: 64)
  private var payloadBuffer = JSONBuffer(capacity: 1024)
  /// For each user with a profile, where the text that ends his records stands in `profileText`.
  private var profileRanges: [UInt32: Range<Int>] = [:]
  private var profileText = JSONBuffer(capacity: 4096)

  init(profiles: [UInt32: MovieLensData.User]) {
    profileRanges.reserveCapacity(profiles.count)
    for (id, user) in profiles {
      let start = profileText.count
      profileText.append(profile: user)
      profileRanges[id] = start..<profileText.count
    }
  }

  var key: UnsafeRawBufferPointer { keyBuffer.bytes }
  var payload: UnsafeRawBufferPointer { payloadBuffer.bytes }

  mutating func encode(_ event: ReplayPlan.Event, _ data: borrowing MovieLensData) {
    let user = data.users[event.row]
    keyBuffer.removeAll()
    keyBuffer.append(integer: Int64(user))
    payloadBuffer.removeAll()
    payloadBuffer.append("{\"request_id\":\"")
    payloadBuffer.append(hex: event.requestHash)
    payloadBuffer.append("\",\"event_time\":")
    payloadBuffer.append(integer: event.eventTime)
    payloadBuffer.append(",\"user_id\":")
    payloadBuffer.append(integer: Int64(user))
    switch event.kind {
    case .impression:
      payloadBuffer.append(",\"item_id\":")
      payloadBuffer.append(integer: Int64(data.items[event.row]))
      if let range = profileRanges[user] {
        payloadBuffer.append(raw: UnsafeRawBufferPointer(rebasing: profileText.bytes[range]))
      }
      payloadBuffer.append("}")
    case .rating:
      payloadBuffer.append(",\"action\":\"rating\",\"value\":")
      payloadBuffer.append(thousandths: data.values[event.row])
      payloadBuffer.append("}")
    }
  }

  mutating func encode(_ movie: MovieLensData.Movie) {
    keyBuffer.removeAll()
    keyBuffer.append(integer: Int64(movie.id))
    payloadBuffer.removeAll()
    payloadBuffer.append("{\"item_id\":")
    payloadBuffer.append(integer: Int64(movie.id))
    payloadBuffer.append(",\"title\":")
    payloadBuffer.append(quoted: movie.title)
    if let year = movie.year {
      payloadBuffer.append(",\"year\":")
      payloadBuffer.append(integer: Int64(year))
    }
    payloadBuffer.append(",\"genres\":[")
    for (index, genre) in movie.genres.enumerated() {
      if index > 0 { payloadBuffer.append(",") }
      payloadBuffer.append(quoted: genre)
    }
    payloadBuffer.append("]}")
  }

  /// A dead-letter record. `topic` is where the row's record would have gone.
  mutating func encode(_ row: BadRow, topic: String) {
    keyBuffer.removeAll()
    payloadBuffer.removeAll()
    payloadBuffer.append("{\"reason_code\":")
    payloadBuffer.append(quoted: BadRow.reasonCode)
    payloadBuffer.append(",\"reason\":")
    payloadBuffer.append(quoted: "\(row.location): \(row.reason)")
    payloadBuffer.append(",\"topic\":")
    payloadBuffer.append(quoted: topic)
    payloadBuffer.append(",\"role\":\"replay\",\"file\":")
    payloadBuffer.append(quoted: row.file)
    payloadBuffer.append(",\"line\":")
    payloadBuffer.append(integer: Int64(row.line))
    // A row of this size is no row; what names it stands before its payload and is never cut.
    let kept = row.bytes.prefix(Self.deadLetterPayloadLimitBytes)
    if kept.count < row.bytes.count {
      payloadBuffer.append(",\"payload_size_bytes\":")
      payloadBuffer.append(integer: Int64(row.bytes.count))
    }
    if let text = String(validating: kept, as: UTF8.self) {
      payloadBuffer.append(",\"payload\":")
      payloadBuffer.append(quoted: text)
    } else {
      payloadBuffer.append(",\"payload_base64\":")
      kept.withUnsafeBytes { payloadBuffer.append(quotedBase64: $0) }
    }
    payloadBuffer.append("}")
  }

  /// Longer rows are cut in dead-letter records, and their size is told. 64 KiB fit any broker's message limit.
  static let deadLetterPayloadLimitBytes = 65_536
}

extension JSONBuffer {
  /// The members that a user's profile adds to an impression, each behind a comma.
  mutating func append(profile user: MovieLensData.User) {
    append(",\"gender\":")
    append(quoted: user.gender)
    append(",\"age\":")
    append(integer: Int64(user.age))
    append(",\"occupation\":")
    append(integer: Int64(user.occupation))
    append(",\"zip\":")
    append(quoted: user.zip)
  }
}
