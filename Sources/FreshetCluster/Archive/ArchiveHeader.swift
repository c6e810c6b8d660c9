import FreshetCore

/// What a file of an archive says of itself before its data.
public struct ArchiveHeader: Sendable, Equatable {
  public let topic: String
  public let partition: PartitionID
  public let content: ArchiveContent
  /// `BlockCompressor.formatCode` of its blocks.
  public let codec: UInt8
  /// Where the file before it ends, or where the archive began: from here on the file has every record there is.
  public let from: Offset
  /// Of its first record.
  public let first: Offset
  /// Of its first record.
  public let firstTime: UnixTime

  public init(
    topic: String, partition: PartitionID, content: ArchiveContent, codec: UInt8, from: Offset, first: Offset,
    firstTime: UnixTime
  ) {
    self.topic = topic
    self.partition = partition
    self.content = content
    self.codec = codec
    self.from = from
    self.first = first
    self.firstTime = firstTime
  }

  public var name: ArchiveFileName {
    ArchiveFileName(
      topic: topic, partition: partition, first: first, day: ArchiveDay(of: firstTime), content: content)
  }
}

/// What a file of an archive says of itself behind its data.
public struct ArchiveFooter: Sendable, Equatable {
  public let records: Int
  /// Of its last record.
  public let last: Offset
  public let newestTime: UnixTime
  /// Of all blocks, decompressed.
  public let rawBytes: Int

  /// Where the next file begins.
  public var end: Offset { Offset(last.value + 1) }
}

/// A record of a file, in memory that is valid only for the call that it is passed to.
public struct ArchivedRecord {
  public let offset: Offset
  /// When Kafka appended it, or its producer made it: what the topic's timestamps are.
  public let time: UnixTime
  public let key: UnsafeRawBufferPointer?
  public let value: UnsafeRawBufferPointer?

  public init(offset: Offset, time: UnixTime, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?) {
    self.offset = offset
    self.time = time
    self.key = key
    self.value = value
  }
}
