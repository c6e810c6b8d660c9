import AsyncHTTPClient
import Crypto
import Foundation
import FreshetCore
import NIOCore
import NIOHTTP1

/// Sends signed requests to one bucket and waits for their answers; tries again what may pass.
///
/// Calls block, so they belong on background threads; any number of threads may call.
struct S3Client: Sendable {
  struct Request: Sendable {
    var method: HTTPMethod
    /// Without the store's prefix; nil for the bucket itself.
    var key: String?
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var body = ByteBuffer()
    /// Of the answer's body.
    var maximumReplyBytes = 8 << 20
    /// Refusals of S3's that are answers too.
    var expectedCodes: [String] = []
  }

  struct Reply: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: ByteBuffer
  }

  /// A way for another thread to end retries.
  final class Cancellation: Sendable {
    private let condition = NSCondition()
    nonisolated(unsafe) private var isSet = false  // Only with the condition's lock held.

    func cancel() {
      condition.withLock {
        isSet = true
        condition.broadcast()
      }
    }

    /// - Returns: Whether it was cancelled, before or meanwhile.
    func wait(ms: Int) -> Bool {
      let deadline = Date(timeIntervalSinceNow: Double(ms) / 1000)
      return condition.withLock {
        while !isSet, condition.wait(until: deadline) {}
        return isSet
      }
    }
  }

  let configuration: S3Configuration
  /// Told of every attempt that failed and is made again.
  let onRetry: @Sendable (String) -> Void

  /// Lives as long as the process. Redirects are not followed: they would have to be signed anew.
  private static let http: HTTPClient = {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5), read: .seconds(30)))
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }()

  /// - Parameter verb: For messages.
  /// - Returns: An answer with a status from 200 to 299, or a refusal that the request expects.
  func perform(
    _ request: Request, _ verb: String, cancellation: Cancellation? = nil
  ) throws(FileStoreError) -> Reply {
    let what = "\(verb) \(url(of: request.key))"
    let hash = hexadecimal(
      request.body.withUnsafeReadableBytes { bytes in
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        return hash.finalize()
      })
    var backoff = Backoff(
      baseMs: configuration.retryBaseMs, capMs: configuration.retryCapMs, seed: .random(in: 0 ... .max))
    while true {
      let error: FileStoreError
      let mayPass: Bool
      let attempts = backoff.attempts + 1
      switch send(request, hash: hash) {
      case .reply(let status, let headers, let body):
        let failure = S3Failure(status: status, body: body.readableBytesView)
        // S3 may find out that it cannot do what a POST asks for after it has sent status 200.
        let isDone = (200...299).contains(status) && (request.method != .POST || failure.code.isEmpty)
        if isDone || request.expectedCodes.contains(failure.code) {
          return Reply(status: status, headers: headers, body: body)
        }
        error = failure.error(what, attempts: attempts)
        mayPass = failure.isPassing
      case .none(let reason, let isPassing):
        error = FileStoreError(
          .failed, "\(what): no answer from \(configuration.endpoint): \(reason) (attempt \(attempts))")
        mayPass = isPassing
      }
      guard mayPass, attempts < configuration.maximumAttempts else { throw error }
      onRetry(error.message)
      if (cancellation ?? Cancellation()).wait(ms: backoff.next()) { throw error }
    }
  }

  func url(of key: String?) -> String {
    "s3://\(configuration.location.bucket)" + (key.map { "/\(configuration.location.prefix)\($0)" } ?? "")
  }

  private enum Outcome {
    case reply(status: Int, headers: HTTPHeaders, body: ByteBuffer)
    case none(reason: String, isPassing: Bool)
  }

  /// One attempt.
  private func send(_ request: Request, hash: String) -> Outcome {
    let path = configuration.path(key: request.key)
    let signer = RequestSigner(credentials: configuration.credentials, region: configuration.region)
    let headers = signer.sign(
      RequestSigner.Request(
        method: request.method.rawValue, path: path, query: request.query,
        headers: [("host", configuration.host)] + request.headers, payloadHash: hash),
      at: .now())
    let query = request.query.isEmpty ? "" : "?" + PercentEncoding.query(request.query)
    let scheme = configuration.endpoint.isSecure ? "https" : "http"
    do {
      let message = try HTTPClient.Request(
        url: "\(scheme)://\(configuration.host)\(path)\(query)", method: request.method,
        headers: HTTPHeaders(headers.map { ($0.name, $0.value) }),
        body: request.method == .PUT || request.method == .POST ? .byteBuffer(request.body) : nil)
      let collector = ResponseAccumulator(request: message, maxBodySize: request.maximumReplyBytes)
      let response = try Self.http.execute(
        request: message, delegate: collector, deadline: .now() + Self.patience(for: request)
      ).futureResult.wait()
      return .reply(
        status: Int(response.status.code), headers: response.headers, body: response.body ?? ByteBuffer())
    } catch let error as ResponseAccumulator.ResponseTooBigError {
      return .none(reason: "\(error)", isPassing: false)
    } catch {
      return .none(reason: "\(error)", isPassing: true)
    }
  }

  /// 20 s, and as long as the bytes take at 256 KiB a second.
  private static func patience(for request: Request) -> TimeAmount {
    .seconds(20 + Int64(max(request.body.readableBytes, request.maximumReplyBytes) >> 18))
  }
}
