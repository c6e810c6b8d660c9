import Foundation
import FreshetCore
import FreshetHTTP
import FreshetModel
import NIOCore

/// A request of the REST Proxy's API to write records: `{"records":[{"key":…,"value":…,"partition":…},…]}`.
struct RestProduceRequest {
  let records: [OutgoingRecord]

  private static let maxDepth = 64
  /// Taken where they are null: neither JSON nor binary has a schema.
  private static let schemaMembers: Set<String> = ["key_schema", "key_schema_id", "value_schema", "value_schema_id"]

  /// - Parameters:
  ///   - partition: Of the path; nil if the records or their keys say.
  ///   - partitionCount: Of the topic.
  init(
    _ body: ByteBuffer, _ embedded: MediaType.Embedded, topic: String, partition: PartitionID?, partitionCount: Int,
    maxRecords: Int
  ) throws(RestFailure) {
    let decoder = Decoder(
      body: body, embedded: embedded, topic: topic, partition: partition, partitionCount: partitionCount,
      maxRecords: maxRecords)
    records = try body.withUnsafeReadableBytes { bytes in
      Result { () throws(RestFailure) in try decoder.records(bytes) }
    }.get()
  }

  private struct Decoder {
    let body: ByteBuffer
    let embedded: MediaType.Embedded
    let topic: String
    let partition: PartitionID?
    let partitionCount: Int
    let maxRecords: Int

    private static var unsliceable: RestFailure { RestFailure(400, "malformed JSON: the body is no plain JSON object") }

    func records(_ bytes: UnsafeRawBufferPointer) throws(RestFailure) -> [OutgoingRecord] {
      let reader = JSONRecordReader(maxBytes: max(64, bytes.count), maxDepth: maxDepth)
      let root: JSONValue
      do throws(JSONError) {
        root = try reader.parse(bytes)
      } catch {
        throw RestFailure(400, bytes.isEmpty ? "the body is empty; it must be {\"records\":[…]}" : error.message)
      }
      // The reader holds what `root` points to.
      return try withExtendedLifetime(reader) { Result { () throws(RestFailure) in try records(root, bytes) } }.get()
    }

    private func records(_ root: JSONValue, _ bytes: UnsafeRawBufferPointer) throws(RestFailure) -> [OutgoingRecord] {
      guard root.kind == .object else {
        throw RestFailure(422, "the body must be an object with `records`, not \(root.excerpt)")
      }
      var slices = JSONSlices(bytes)
      // The reader also takes what the slices do not, such as a byte order mark before the object.
      guard let places = slices.memberValues() else { throw Self.unsliceable }
      var found: (list: JSONValue, place: Range<Int>)?
      for (member, place) in zip(root.children, places) {
        switch member.memberName {
        case "records": found = (member, place)
        case let name where schemaMembers.contains(name):
          guard member.kind == .null else {
            throw RestFailure(422, "`\(name)` is given, and neither JSON nor binary has a schema; leave it out")
          }
        case let name: throw RestFailure(422, "the body has an unknown member `\(HTTPFailure.short(name))`")
        }
      }
      guard let found, found.list.kind == .array, found.list.childCount > 0 else {
        throw RestFailure(422, "`records` must be a list of at least one record")
      }
      guard found.list.childCount <= maxRecords else {
        throw RestFailure(
          413,
          "\(found.list.childCount) records in one request, at most \(maxRecords) may be in flight; send several requests"
        )
      }
      var list = JSONSlices(bytes, in: found.place)
      guard let elements = list.elements() else { throw Self.unsliceable }
      var records: [OutgoingRecord] = []
      for (index, (record, place)) in zip(found.list.children, elements).enumerated() {
        records.append(try self.record(record, JSONSlices(bytes, in: place), index))
      }
      return records
    }

    private func record(_ record: JSONValue, _ slices: JSONSlices, _ index: Int) throws(RestFailure) -> OutgoingRecord {
      guard record.kind == .object else {
        throw RestFailure(422, "records[\(index)] must be an object, not \(record.excerpt)")
      }
      var slices = slices
      guard let places = slices.memberValues() else { throw Self.unsliceable }
      var outgoing = OutgoingRecord(topic: topic, partition: partition, key: nil, value: nil)
      for (member, place) in zip(record.children, places) {
        switch member.memberName {
        case "key": outgoing.key = try content(member, place, "records[\(index)].key")
        case "value": outgoing.value = try content(member, place, "records[\(index)].value")
        case "partition": outgoing.partition = try chosenPartition(member, index)
        case let name: throw RestFailure(422, "records[\(index)] has an unknown member `\(HTTPFailure.short(name))`")
        }
      }
      return outgoing
    }

    /// The bytes of a key or value; nil for null.
    private func content(_ value: JSONValue, _ place: Range<Int>, _ what: String) throws(RestFailure) -> ByteBuffer? {
      if value.kind == .null { return nil }
      switch embedded {
      case .json: return body.getSlice(at: body.readerIndex + place.lowerBound, length: place.count)!
      case .binary:
        guard value.kind == .string else {
          throw RestFailure(422, "\(what) must be text in base64, not \(value.excerpt)")
        }
        guard let data = Data(base64Encoded: String(decoding: value.text, as: UTF8.self)) else {
          throw RestFailure(RestFailure.unconvertible, "\(what) is not base64: \(value.excerpt)")
        }
        return ByteBuffer(bytes: data)
      }
    }

    private func chosenPartition(_ value: JSONValue, _ index: Int) throws(RestFailure) -> PartitionID? {
      if value.kind == .null { return partition }
      guard value.kind == .int64, let number = Int32(exactly: value.int64), number >= 0 else {
        throw RestFailure(422, "records[\(index)].partition must be an integer from 0, not \(value.excerpt)")
      }
      if let partition, partition.value != number {
        throw RestFailure(422, "records[\(index)].partition is \(number), the path says \(partition)")
      }
      guard number < partitionCount else {
        throw RestFailure(
          RestFailure.partitionNotFound,
          "records[\(index)].partition: \(topic) has no partition \(number), it has \(partitionCount)")
      }
      return PartitionID(number)
    }
  }
}
