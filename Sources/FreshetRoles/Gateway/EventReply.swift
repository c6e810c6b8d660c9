import FreshetHTTP
import FreshetKafka

/// Replies of `/v1/impressions`, `/v1/actions` and `/v1/items`.
enum EventReply {
  /// 200 if every record was written; else 503 where trying again may help, and 500.
  static func deliveries(_ deliveries: [KafkaDelivery]) -> HTTPReply {
    let failures = deliveries.compactMap(\.failure)
    let status = failures.isEmpty ? 200 : failures.allSatisfy { $0.error.isRetriable } ? 503 : 500
    var reply = HTTPReply.json(status: status) { writer in
      writer.beginObject()
      if !failures.isEmpty {
        let unknown = failures.count { $0.mayBeWritten }
        writer.key("error")
        writer.write(
          "of \(deliveries.count) records \(deliveries.count - failures.count) were written, "
            + "\(failures.count - unknown) were not, and \(unknown) may have been")
        writer.key("code")
        writer.write("UNWRITTEN")
      }
      writer.key("offsets")
      writer.beginArray()
      for delivery in deliveries { write(delivery, to: &writer) }
      writer.endArray()
      writer.endObject()
    }
    if status == 503 { reply.retryAfterSeconds = 1 }
    return reply
  }

  private static func write(_ delivery: KafkaDelivery, to writer: inout JSONWriter) {
    writer.beginObject()
    switch delivery {
    case .written(let partition, let offset):
      writer.key("partition")
      writer.write(partition.value)
      writer.key("offset")
      writer.write(offset.value)
      writer.key("written")
      writer.write(true)
    case .failed(let error, let mayBeWritten):
      writer.key("partition")
      writer.writeNull()
      writer.key("offset")
      writer.writeNull()
      writer.key("written")
      if mayBeWritten { writer.writeNull() } else { writer.write(false) }
      writer.key("code")
      writer.write(error.code)
      writer.key("error")
      writer.write(error.message)
    }
    writer.endObject()
  }

  static func invalid(_ invalid: EventRequest.Invalid) -> HTTPReply {
    .json(status: HTTPFailure.Kind.invalid.status) { writer in
      writer.beginObject()
      writer.key("error")
      writer.write(
        "\(invalid.problems.count) of \(invalid.recordCount) records cannot be used, so none was written")
      writer.key("code")
      writer.write(HTTPFailure.Kind.invalid.rawValue)
      writer.key("records")
      writer.beginArray()
      for problem in invalid.problems.prefix(EventRequest.shownProblems) {
        writer.beginObject()
        writer.key("index")
        writer.write(problem.index)
        writer.key("code")
        writer.write(problem.code)
        writer.key("field")
        if let field = problem.field { writer.write(field) } else { writer.writeNull() }
        writer.key("error")
        writer.write(problem.message)
        writer.key("expected")
        if let expected = problem.expected { writer.write(expected) } else { writer.writeNull() }
        writer.endObject()
      }
      writer.endArray()
      writer.endObject()
    }
  }
}

extension KafkaDelivery {
  /// nil if it was written.
  var failure: (error: KafkaError, mayBeWritten: Bool)? {
    if case .failed(let error, let mayBeWritten) = self { (error, mayBeWritten) } else { nil }
  }
}

extension HTTPFailure {
  init(_ refusal: WriteRefusal) {
    let kind: Kind =
      switch refusal.kind {
      case .full: .full
      case .tooLarge: .tooBig
      case .unavailable: .busy
      }
    self.init(kind, refusal.message)
  }
}
