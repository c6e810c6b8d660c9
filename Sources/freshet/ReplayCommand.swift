import ArgumentParser
import FreshetRoles

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Send recorded data through the cluster as if it happened now.",
    discussion: """
      MovieLens (--data DIR with ratings.dat or ratings.csv): each rating becomes an impression in `features`, up to \
      --max-delay before it, and an action in `actions`, in the order of their times; movies go to `items`. A request's id \
      is a function of its row, so sending a row again makes no second example.

      Your own records: --features, --actions and --items, as CSV or TSV with a header, or as JSON lines.

      EXAMPLES:
        freshet replay --data ml-1m --rate 1000
        freshet replay --features f.jsonl --actions a.jsonl --items i.jsonl
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "A directory of MovieLens data.")
  var data: String?
  @Option(help: "A file of features records.")
  var features: String?
  @Option(help: "A file of actions records.")
  var actions: String?
  @Option(help: "A file of items records.")
  var items: String?
  @Option(help: "The member of features and actions that is their Kafka key.")
  var key = "user_id"
  @Option(help: "The member of items that is their Kafka key.")
  var itemKey = "item_id"
  @Option(help: "Ratings (or records) a second; default: as fast as possible.")
  var rate: Double?
  @Option(help: "How many times as fast as it happened.")
  var speed: Double?
  @Option(help: "The longest of the random sleeps between bursts, in milliseconds.")
  var jitter = 0
  @Option(help: "How many of the last ratings go at --tail-rate, after all others.")
  var tail = 0
  @Option(help: "Ratings a second of the tail.")
  var tailRate: Double?
  @Option(help: "The first rating to send, counted in time order from 0.")
  var start = 0
  @Option(help: "How many ratings to send.")
  var limit: Int?
  @Option(help: "A progress file, by which an interrupted replay resumes.")
  var state: String?
  @Option(help: "Wait while more records than this have not been joined or trained on.")
  var maxLead: Int?
  @Option(help: "Seed of delays and sleeps.")
  var seed: UInt64 = 1
  @Option(help: "The longest time between an impression and its rating, in seconds.")
  var maxDelay = 3600
  @Flag(help: "End at the first bad row instead of sending it to the dead-letter topic.")
  var strict = false
  @Flag(help: "Exit with 1 if no broker answers, instead of trying again.")
  var failFast = false

  func run() throws {
    let settings = try configuration.load()
    var options = ReplayOptions()
    options.dataDirectory = data
    options.featuresFile = features
    options.actionsFile = actions
    options.itemsFile = items
    options.keyMember = key
    options.itemKeyMember = itemKey
    options.rate = rate
    options.speed = speed
    options.jitterMs = jitter
    options.tailCount = tail
    options.tailRate = tailRate
    options.start = start
    options.limit = limit
    options.statePath = state
    options.seed = seed
    options.maxDelaySeconds = maxDelay
    options.isStrict = strict
    options.failsFast = failFast
    try options.validate()
    let logger = log.logger(role: "replay")
    StopSignal.install()
    try KafkaStartup.prepare(settings.kafka, clientID: "freshet-replay", failsFast: failFast, logger: logger) {
      StopSignal.isRequested
    }
    let topics = settings.kafka.topics
    let summary = try Replay.run(
      options,
      topics: ReplayTopics(
        features: topics.features, actions: topics.actions, items: topics.items, deadLetter: topics.deadLetter),
      lead: maxLead.map {
        ReplayLead(
          maximum: $0, joinerGroup: settings.joiner.group, trainerGroup: settings.trainer.group,
          examplesTopic: topics.examples)
      },
      kafka: KafkaStartup.configuration(settings.kafka, clientID: "freshet-replay", logger: logger),
      shouldStop: { StopSignal.isRequested })
    if summary.isInterrupted { throw ExitCode(1) }
  }
}
