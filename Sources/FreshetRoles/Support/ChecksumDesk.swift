import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetTable
import FreshetWire
import NIOCore

/// Answers `CHECKSUM`: sums up the rows of a process's shards, one slice in each turn of the event loop that owns them.
final class ChecksumDesk {
  /// Requests that wait for their turn; more are refused.
  static let maximumWaiting = 16

  private struct Waiting {
    let responder: RESPResponder
    let formats: [[WeightFormat]]
  }

  private let source: any ChecksumSource
  private let shards: [ShardID]
  private let loop: any EventLoop
  private var waiting: [Waiting] = []
  private var scan: ChecksumScan?

  /// - Parameter shards: Those that the source has.
  init(source: any ChecksumSource, shards: [ShardID], loop: any EventLoop) {
    self.source = source
    self.shards = shards
    self.loop = loop
  }

  /// Called on the loop; the reply comes on the responder's.
  /// - Parameter formats: `ChecksumScan.init`.
  func request(formats: [[WeightFormat]], _ responder: RESPResponder) {
    guard waiting.count < Self.maximumWaiting else {
      return Self.answer(responder) {
        $0.fail(WireError(.busy, "\(Self.maximumWaiting) requests for checksums wait, which is the limit"))
      }
    }
    waiting.append(Waiting(responder: responder, formats: formats))
    if waiting.count == 1 { begin() }
  }

  private func begin() {
    guard let next = waiting.first else { return }
    scan = ChecksumScan(shards: shards, formats: next.formats)
    proceed()
  }

  private func proceed() {
    loop.assumeIsolated().execute { [self] in
      switch Self.advance(&scan!, source) {
      case .unfinished: proceed()
      case .changing(let shard):
        finish {
          $0.fail(
            WireError(.busy, "shard \(shard) changed while its rows were summed up; ask again when nothing is learned"))
        }
      case .done(let checksums): finish { $0.reply { $0.write(checksums) } }
      }
    }
  }

  private static func advance(_ scan: inout ChecksumScan, _ source: some ChecksumSource) -> ChecksumScan.Progress {
    scan.advance(source)
  }

  private func finish(_ reply: @escaping @Sendable (RESPResponder) -> Void) {
    Self.answer(waiting.removeFirst().responder, reply)
    begin()
  }

  private static func answer(_ responder: RESPResponder, _ reply: @escaping @Sendable (RESPResponder) -> Void) {
    responder.eventLoop.execute { reply(responder) }
  }
}

extension RESPEncoder {
  /// For each shard its number, generation, sequence, rows and checksum; what takes 64 bits as hexadecimal text.
  fileprivate mutating func write(_ checksums: [ShardChecksum]) {
    writeArrayHeader(count: checksums.count)
    for checksum in checksums {
      writeArrayHeader(count: 5)
      writeInteger(Int64(checksum.shard.value))
      writeBulk(String(checksum.generation, radix: 16))
      writeInteger(Int64(clamping: checksum.sequence))
      writeInteger(Int64(checksum.rows))
      writeBulk(String(checksum.checksum, radix: 16))
    }
  }
}
