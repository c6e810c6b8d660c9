import CRdKafka

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Keeps a consumer that has read everything from asking again and again.
///
/// Apache Kafka keeps a fetch for which it has nothing, for `fetch.wait.max.ms`. Small brokers answer it at once; librdkafka asks
/// again at once, and the two of them keep a core busy for each idle consumer. So the thread that fetches pauses after an answer
/// that was short and quick. Where brokers wait, answers are not both unless records come one by one, and then the pause is
/// all that it costs.
enum FetchPacing {
  /// Of the Kafka protocol.
  private static let fetchKey: Int16 = 1
  /// An answer of this many bytes holds a few small records at most.
  private static let shortBytes = 1024
  private static let quickMicroseconds: Int64 = 1000

  /// The pause in ms for a consumer: a tenth of what the broker was asked to wait.
  static func pauseMs(fetchWaitMs: Int) -> Int { (fetchWaitMs + 9) / 10 }

  static func isIdle(apiKey: Int16, bytes: Int, roundTripMicroseconds: Int64) -> Bool {
    apiKey == fetchKey && bytes < shortBytes && roundTripMicroseconds < quickMicroseconds
  }

  /// - Parameter pauseMs: At least 1.
  static func install(on configuration: OpaquePointer, pauseMs: Int) {
    rd_kafka_conf_interceptor_add_on_new(
      configuration, "fetch-pacing",
      { client, _, opaque, _, _ in
        rd_kafka_interceptor_add_on_response_received(
          client, "fetch-pacing",
          { _, _, _, _, apiKey, _, _, bytes, roundTrip, _, opaque in
            if FetchPacing.isIdle(apiKey: apiKey, bytes: bytes, roundTripMicroseconds: roundTrip) {
              usleep(UInt32(UInt(bitPattern: opaque)) * 1000)
            }
            return RD_KAFKA_RESP_ERR_NO_ERROR
          }, opaque)
      }, UnsafeMutableRawPointer(bitPattern: pauseMs))
  }
}
