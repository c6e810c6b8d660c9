import FreshetCore
import FreshetHTTP
import FreshetKafka
import NIOCore

/// The paths of Confluent REST Proxy's API v2 that write records and describe topics.
struct RestProxy: Sendable {
  /// Those that may be written and seen, in the configuration's order.
  let names: [String]
  let directory: any TopicSource
  let sink: any RecordSink
  let maxRecords: Int

  func answer(_ request: HTTPRequest, _ route: GatewayRoute.Topics) async throws(RestFailure) -> HTTPReply {
    try MediaType.checkAccept(request)
    switch route {
    case .list:
      try requireRead(request)
      let known = try topics()
      return .proxy { writer in
        writer.beginArray()
        for name in names.sorted() where known[name] != nil { writer.write(name) }
        writer.endArray()
      }
    case .topic(let name):
      if request.method == "POST" { return try await produce(request, name, partition: nil) }
      try requireRead(request, orPost: true)
      let topic = try topic(name)
      return .proxy { $0.write(topic) }
    case .partitions(let name):
      try requireRead(request)
      let topic = try topic(name)
      return .proxy { $0.write(topic.partitions) }
    case .partition(let name, let text):
      let topic = try topic(name)
      guard let number = Int32(text), let partition = topic.partitions.first(where: { $0.id.value == number }) else {
        throw RestFailure(
          RestFailure.partitionNotFound,
          "\(name) has no partition `\(HTTPFailure.short(text))`, it has \(topic.partitions.count)")
      }
      if request.method == "POST" { return try await produce(request, name, partition: partition.id) }
      try requireRead(request, orPost: true)
      return .proxy { $0.write(partition) }
    }
  }

  private func requireRead(_ request: HTTPRequest, orPost: Bool = false) throws(RestFailure) {
    guard request.method == "GET" || request.method == "HEAD" else {
      throw RestFailure(HTTPFailure.method(request.method, allow: orPost ? "GET, HEAD, POST" : "GET, HEAD"))
    }
  }

  private func topics() throws(RestFailure) -> [String: KafkaTopicDescription] {
    guard let topics = directory.topics else {
      throw RestFailure(WriteRefusal(kind: .unavailable, message: "the broker has not been reached yet; try again"))
    }
    return topics
  }

  private func topic(_ name: String) throws(RestFailure) -> KafkaTopicDescription {
    guard names.contains(name) else {
      throw RestFailure(
        RestFailure.topicNotFound,
        "this gateway has no topic `\(HTTPFailure.short(name))`; it has \(names.joined(separator: ", ")) (gateway.topics)"
      )
    }
    guard let topic = try topics()[name] else {
      throw RestFailure(RestFailure.topicNotFound, "the topic \(name) does not exist in Kafka")
    }
    return topic
  }

  private func produce(
    _ request: HTTPRequest, _ name: String, partition: PartitionID?
  ) async throws(RestFailure) -> HTTPReply {
    let topic = try topic(name)
    let produce = try RestProduceRequest(
      request.body, try MediaType.embedded(request), topic: name, partition: partition,
      partitionCount: topic.partitions.count, maxRecords: maxRecords)
    let deliveries: [KafkaDelivery]
    do throws(WriteRefusal) {
      deliveries = try await sink.write(produce.records)
    } catch {
      throw RestFailure(error)
    }
    return Self.reply(deliveries)
  }

  /// 200 if a record was written, as the API has it: each record says for itself what became of it. Where none was: 403 if the broker
  /// does not let the gateway write, 503 where trying again may help, and 500.
  static func reply(_ deliveries: [KafkaDelivery]) -> HTTPReply {
    let failures = deliveries.compactMap(\.failure)
    var status = 200
    if failures.count == deliveries.count {
      status =
        failures.allSatisfy { code(of: $0.error) == RestFailure.kafkaForbidden }
        ? 403 : failures.allSatisfy { $0.error.isRetriable } ? 503 : 500
    }
    var reply = HTTPReply.proxy(status: status) { writer in
      writer.beginObject()
      writer.key("offsets")
      writer.beginArray()
      for delivery in deliveries { write(delivery, to: &writer) }
      writer.endArray()
      writer.key("key_schema_id")
      writer.writeNull()
      writer.key("value_schema_id")
      writer.writeNull()
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
      writer.key("error_code")
      writer.writeNull()
      writer.key("error")
      writer.writeNull()
    case .failed(let error, let mayBeWritten):
      writer.key("partition")
      writer.writeNull()
      writer.key("offset")
      writer.writeNull()
      writer.key("error_code")
      writer.write(code(of: error))
      writer.key("error")
      writer.write(error.message + (mayBeWritten ? "; it may have been written" : "; it was not written"))
    }
    writer.endObject()
  }

  private static func code(of error: KafkaError) -> Int {
    if error.reason == .authentication { return RestFailure.kafkaForbidden }
    return error.isRetriable ? RestFailure.retriableKafkaError : RestFailure.kafkaError
  }
}

extension JSONWriter {
  fileprivate mutating func write(_ topic: KafkaTopicDescription) {
    beginObject()
    key("name")
    write(topic.name)
    key("configs")
    beginObject()
    for (name, value) in topic.properties.sorted(by: { $0.key < $1.key }) {
      key(name)
      write(value)
    }
    endObject()
    key("partitions")
    write(topic.partitions)
    endObject()
  }

  fileprivate mutating func write(_ partitions: [KafkaTopicDescription.Partition]) {
    beginArray()
    for partition in partitions { write(partition) }
    endArray()
  }

  fileprivate mutating func write(_ partition: KafkaTopicDescription.Partition) {
    beginObject()
    key("partition")
    write(partition.id.value)
    key("leader")
    write(partition.leader)
    key("replicas")
    beginArray()
    for replica in partition.replicas {
      beginObject()
      key("broker")
      write(replica)
      key("leader")
      write(replica == partition.leader)
      key("in_sync")
      write(partition.inSync.contains(replica))
      endObject()
    }
    endArray()
    endObject()
  }
}
