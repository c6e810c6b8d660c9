/// What `freshet replay` is asked to do. Fields are the command's options.
public struct ReplayOptions: Sendable {
  /// `--data`: a directory of MovieLens data. Either this or at least one of the three files below.
  public var dataDirectory: String?
  /// `--features`, `--actions`, `--items`: CSV, TSV or JSON lines with records of the user's own.
  public var featuresFile: String?
  public var actionsFile: String?
  public var itemsFile: String?
  /// `--key`: the member of features and actions that is their Kafka key.
  public var keyMember = "user_id"
  /// `--item-key`: the same for items.
  public var itemKeyMember = "item_id"

  /// `--rate`: ratings (or records) a second; nil for no limit.
  public var rate: Double?
  /// `--speed`: how many times as fast as it happened; nil for no limit.
  public var speed: Double?
  /// `--jitter`: the longest of the random sleeps between bursts, in milliseconds; 0 for none.
  public var jitterMs = 0
  /// `--tail`: how many of the last ratings go at `tailRate` a second, after all others went at their pace.
  public var tailCount = 0
  /// `--tail-rate`
  public var tailRate: Double?

  /// `--start`: the first rating, counted in time order from 0.
  public var start = 0
  /// `--limit`: how many ratings; nil for all.
  public var limit: Int?
  /// `--state`: the progress file by which an interrupted replay resumes.
  public var statePath: String?
  /// `--seed`: of delays and random sleeps.
  public var seed: UInt64 = 1
  /// `--max-delay`: the longest time between impression and rating, in seconds.
  public var maxDelaySeconds = 3600

  /// `--strict`: a bad row ends the replay instead of going to the dead-letter topic.
  public var isStrict = false
  /// `--fail-fast`: an unreachable broker ends the replay instead of being waited for.
  public var failsFast = false

  public init() {}

  /// - Throws: `ReplayError` with code `bad-option`: exit code 2.
  public func validate() throws(ReplayError) {
    let hasFiles = featuresFile != nil || actionsFile != nil || itemsFile != nil
    if (dataDirectory != nil) == hasFiles {
      throw Self.bad("name either --data DIR, or --features, --actions and --items (one of them at least)")
    }
    if rate != nil && speed != nil { throw Self.bad("--rate and --speed exclude each other") }
    for (name, value) in [("--rate", rate), ("--speed", speed), ("--tail-rate", tailRate)] {
      if let value, !(value.isFinite && value > 0) { throw Self.bad("\(name) must be more than 0") }
    }
    if (tailRate != nil) != (tailCount > 0) { throw Self.bad("--tail and --tail-rate go together, both more than 0") }
    if jitterMs < 0 || jitterMs > 3_600_000 { throw Self.bad("--jitter must be in 0...3600000 (milliseconds)") }
    if start < 0 { throw Self.bad("--start must not be negative") }
    if let limit, limit < 0 { throw Self.bad("--limit must not be negative") }
    if maxDelaySeconds < 0 || maxDelaySeconds > 366 * 86_400 {
      throw Self.bad("--max-delay must be in 0...31622400 (seconds)")
    }
    if keyMember.isEmpty || itemKeyMember.isEmpty { throw Self.bad("--key and --item-key must not be empty") }
  }

  private static func bad(_ message: String) -> ReplayError { ReplayError(code: "bad-option", message: message) }

  var mode: ReplayPacer.Mode {
    if let rate { return .rate(rate) }
    return speed.map { .speed($0) } ?? .asFastAsPossible
  }

  /// Events go by a clock, at least some of them.
  var isPaced: Bool { mode != .asFastAsPossible || tailCount > 0 }

  func pacing(unitCount: Int) -> ReplayPacer.Settings {
    ReplayPacer.Settings(
      mode: mode, unitCount: unitCount, tailCount: tailCount, tailRate: tailRate ?? 1, jitterMs: jitterMs, seed: seed)
  }

  var planning: ReplayPlan.Settings {
    ReplayPlan.Settings(seed: seed, maxDelayMs: Int64(maxDelaySeconds) * 1000, start: start, limit: limit)
  }
}
