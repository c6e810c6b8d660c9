import FreshetCore

/// What `PROMOTE` asks of a serving replica: to copy a second model beside the one that answers, and then to answer from it.
public enum PromotionCommand: Hashable, Sendable {
  public struct Request: Hashable, Sendable {
    /// What the second model is and where its parameter servers are, as a configuration file has it: `model`, `cluster.servers`,
    /// `cluster.shards` and `kafka.topics`.
    public var configuration: String
    /// How far its scores may be behind those of the model that answers, when it takes over.
    public var maximumLagMs: Int
    /// Memory that the copy is expected to take; 0 if nobody knows.
    public var expectedBytes: Int
    /// Whether it may take over however far behind it is.
    public var isForced: Bool
    /// Whether a replica that keeps nothing on disk may take part, to come back with the configured model after a restart.
    public var untilRestart: Bool

    public init(
      configuration: String, maximumLagMs: Int, expectedBytes: Int, isForced: Bool, untilRestart: Bool
    ) {
      self.configuration = configuration
      self.maximumLagMs = maximumLagMs
      self.expectedBytes = expectedBytes
      self.isForced = isForced
      self.untilRestart = untilRestart
    }
  }

  case prepare(Request)
  /// Also says that somebody still waits for the copy.
  case status
  /// - Parameter version: Of the model that was prepared.
  case activate(version: Int)
  case abort

  public static let maximumLagMs = 1...86_400_000

  static let description = CommandDescription(
    name: "PROMOTE", arity: -2,
    syntax:
      "PROMOTE PREPARE configuration max_lag_ms expected_bytes [FORCE] [UNTILRESTART] | STATUS | ACTIVATE version | ABORT",
    summary: "Copy a second model beside the one that answers, then answer from it")

  /// - Throws: `ERR` that names what is wrong and the syntax.
  init(_ request: RESPRequest) throws(WireError) {
    let description = Self.description
    try description.checkArity(request)
    let wrong = WireError(.err, "wrong arguments for 'promote' command; expected: \(description.syntax)")
    switch (request.quoted(at: 1).uppercased(), request.count) {
    case ("STATUS", 2): self = .status
    case ("ABORT", 2): self = .abort
    case ("ACTIVATE", 3):
      self = .activate(version: try request.integer(at: 2, "version", in: 1...Int(Int32.max), description))
    case ("PREPARE", 5...7):
      var prepared = Request(
        configuration: try request.requireText(at: 2, "configuration"),
        maximumLagMs: try request.integer(at: 3, "max_lag_ms", in: Self.maximumLagMs, description),
        expectedBytes: try request.integer(at: 4, "expected_bytes", in: 0...Int.max, description), isForced: false,
        untilRestart: false)
      for word in 5..<request.count {
        if request.isKeyword("FORCE", at: word) {
          prepared.isForced = true
        } else if request.isKeyword("UNTILRESTART", at: word) {
          prepared.untilRestart = true
        } else {
          throw wrong
        }
      }
      self = .prepare(prepared)
    default: throw wrong
    }
  }

  func encode(into encoder: inout RESPEncoder) {
    switch self {
    case .status: encoder.writeCommand(["PROMOTE", "STATUS"])
    case .abort: encoder.writeCommand(["PROMOTE", "ABORT"])
    case .activate(let version): encoder.writeCommand(["PROMOTE", "ACTIVATE", "\(version)"])
    case .prepare(let request):
      var words = [
        "PROMOTE", "PREPARE", request.configuration, "\(request.maximumLagMs)", "\(request.expectedBytes)",
      ]
      if request.isForced { words.append("FORCE") }
      if request.untilRestart { words.append("UNTILRESTART") }
      encoder.writeCommand(words)
    }
  }
}
