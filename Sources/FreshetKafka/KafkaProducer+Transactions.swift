import CRdKafka
import FreshetCore

/// Transactions. Every error tells what is left to do: `isRetriable`: call the same again; `requiresAbort`: call
/// `abortTransaction`; `isFatal` (`reason == .fenced` among them): this producer is done for.
extension KafkaProducer {
  /// Fences older producers of the same transactional id and waits for the end of what they had begun. Call it once.
  public func initTransactions(timeoutMs: Int) throws(KafkaError) {
    try check(rd_kafka_init_transactions(handle.pointer, Int32(clamping: timeoutMs)), "init transactions")
  }

  public func beginTransaction() throws(KafkaError) {
    context.forgetFailures()
    try check(rd_kafka_begin_transaction(handle.pointer), "begin transaction")
  }

  /// Adds the consumer's progress to the transaction: committed with it, or not at all.
  /// - Parameter positions: The next offset to read of each partition, with metadata if wanted.
  public func sendOffsets(_ positions: [KafkaPosition], of consumer: KafkaConsumer, timeoutMs: Int) throws(KafkaError) {
    let list = try PartitionList(positions)
    guard let group = rd_kafka_consumer_group_metadata(consumer.handle.pointer) else {
      throw KafkaError(.invalidArgument, "the consumer is in no group, so its offsets cannot join a transaction")
    }
    defer { rd_kafka_consumer_group_metadata_destroy(group) }
    try check(
      rd_kafka_send_offsets_to_transaction(handle.pointer, list.pointer, group, Int32(clamping: timeoutMs)),
      "send offsets to transaction")
  }

  /// Flushes and commits. A record that could not be delivered makes it throw with `requiresAbort`.
  public func commitTransaction(timeoutMs: Int) throws(KafkaError) {
    try check(rd_kafka_commit_transaction(handle.pointer, Int32(clamping: timeoutMs)), "commit transaction")
    context.forgetFailures()
  }

  /// Takes back everything since `beginTransaction`, records still in the queue included.
  public func abortTransaction(timeoutMs: Int) throws(KafkaError) {
    try check(rd_kafka_abort_transaction(handle.pointer, Int32(clamping: timeoutMs)), "abort transaction")
    context.forgetFailures()
  }

  private func check(_ error: OpaquePointer?, _ doing: String) throws(KafkaError) {
    guard let error else { return }
    throw KafkaError(consuming: error, doing: doing, fallback: .transaction)
  }
}
