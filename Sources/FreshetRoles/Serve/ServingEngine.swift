import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire

/// Answers requests for scores from a replica's copy and the item catalog. No I/O; belongs to one thread.
///
/// A request's features are computed in memory that is used again, its rows are gathered in one short `read`, and its
/// candidates are scored together; so are those of the requests of a burst. A steady stream of requests allocates nothing for
/// them.
final class ServingEngine {
  /// Nesting of a request's JSON.
  private static let jsonDepth = 8
  /// Candidates that are gathered in one `read`.
  static let runCandidates = 256
  /// The most memory for the parts of items that are kept.
  static let cacheBytes = 64 << 20

  let model: ModelSpec
  let extractor: FeatureExtractor
  let reader: ReplicaReader
  let scorer: Scorer
  /// Read inside `reader.read` only: another thread changes it.
  let catalog: ServingCatalog
  var statistics = ServingStatistics()
  let limits: ServingLimits

  let requestReader: JSONRecordReader
  /// Reads catalog records while `requestReader` still holds the request.
  let itemReader: JSONRecordReader
  let scratch: FeatureScratch
  let itemScratch: FeatureScratch
  /// By position, the side of a field.
  let sides: [FieldSide]
  /// Names that JSON requests may use beside those of fields.
  private let otherNames: FieldTable
  /// `model` and `model:task`, each with the task's position.
  private let taskNames: FieldTable
  /// Where the user's fid is among the slots of the request's side, if it has a slot.
  private let userSlot: Int?
  /// Of the request in hand, by candidate.
  var scores: UnsafeMutableBufferPointer<Float>
  /// Of the run in hand, by candidate: what the catalog knows the item by, and whether there is such a key.
  var keyHashes: [UInt64]
  var hasKeys: [Bool]
  /// Candidates of the run that the catalog does not have.
  var unknown: [Int] = []
  /// Of the burst in hand: the requests that are scored together, and the numbers of those that are not.
  var burstParts: ContiguousArray<BurstPart> = []
  var burstRest: [Int] = []
  /// The candidates of a request in JSON.
  var jsonRows: [JSONValue] = []
  /// The items of the recommendation's slice in hand, by candidate.
  var slice: [SliceItem] = []
  /// The request's side of the row in hand, where crosses with items need it.
  var requestPart: UnsafeRawPointer?

  /// - Parameter catalog: Changed inside `Replica.write` only.
  init(model: ModelSpec, reader: ReplicaReader, catalog: ServingCatalog, limits: ServingLimits) throws {
    self.model = model
    self.reader = reader
    self.catalog = catalog
    self.limits = limits
    extractor = try FeatureExtractor(model)
    scorer = Scorer(reader: reader, extractor: extractor, cacheBytes: Self.cacheBytes)
    requestReader = JSONRecordReader(maxBytes: RESPLimits.requests.maxBulkBytes, maxDepth: Self.jsonDepth)
    itemReader = JSONRecordReader(maxBytes: ServingCatalog.maximumRecordBytes, maxDepth: 32)
    scratch = extractor.makeScratch()
    itemScratch = extractor.makeScratch()
    sides = model.fields.indices.map { FieldSide(of: $0, in: model) }
    // A `features` record may be sent as it is.
    otherNames = FieldTable([(JoinRecord.requestID, 0), (JoinRecord.eventTime, 0)])
    taskNames = FieldTable(
      [(model.name, 0)] + model.tasks.enumerated().map { (model.name + ":" + $1.name, $0) })
    let user = model.slots.firstIndex { $0.fields == [model.userKey] }
    let requestSlots = extractor.sides.request.slots
    userSlot = user.flatMap { requestSlots.firstIndex(of: $0) }
    scores = .allocate(capacity: max(Self.runCandidates, limits.maxCandidates))
    scores.initialize(repeating: 0)
    keyHashes = [UInt64](repeating: 0, count: Self.runCandidates)
    hasKeys = [Bool](repeating: false, count: Self.runCandidates)
    unknown.reserveCapacity(Self.runCandidates)
  }

  deinit { scores.deallocate() }

  /// Items in the catalog now.
  var itemCount: Int { reader.read { _ in catalog.items.count } }

  // MARK: - Choosing

  /// A model's name, or `model:task`; without a task it is the first one.
  /// - Returns: The task's position.
  func task(named name: UnsafeRawBufferPointer) throws(WireError) -> Int {
    let task = taskNames.find(name)
    return task >= 0 ? task : try self.task(unknown: String(decoding: name, as: UTF8.self))
  }

  func task(named name: String) throws(WireError) -> Int {
    var name = name
    let task = name.withUTF8 { taskNames.find(UnsafeRawBufferPointer($0)) }
    return task >= 0 ? task : try self.task(unknown: name)
  }

  private func task(unknown name: String) throws(WireError) -> Int {
    if name.hasPrefix(model.name + ":") {
      let task = name.dropFirst(model.name.count + 1)
      throw WireError(
        .err,
        "model \(model.name) has no task '\(task)'; its tasks are \(model.tasks.map(\.name).joined(separator: ", "))")
    }
    throw WireError(.err, "no model '\(RequestText.short(name))'; the models are \(model.name)")
  }

  /// Until every shard has been copied once, an answer would be made of initial values.
  func checkReady() throws(WireError) {
    guard !reader.isReady else { return }
    let status = reader.status
    let shards = status.positions
    throw WireError(
      .loading,
      "\(shards.count { $0.isComplete }) of \(shards.count) shards are copied, "
        + "\(status.connectedServers) parameter servers are connected; try again soon")
  }

  func position(ofField name: UnsafeRawBufferPointer) throws(WireError) -> Int {
    let position = extractor.field(named: name)
    guard position >= 0 else { throw unknownField(String(decoding: name, as: UTF8.self)) }
    return position
  }

  /// The side of a member of a JSON object.
  func side(ofMember name: UnsafeRawBufferPointer) throws(WireError) -> FieldSide {
    let position = extractor.field(named: name)
    if position >= 0 { return sides[position] }
    guard otherNames.find(name) >= 0 else { throw unknownField(String(decoding: name, as: UTF8.self)) }
    return .neither
  }

  func unknownField(_ name: String) -> WireError {
    WireError(
      .err,
      "model \(model.name) has no field '\(RequestText.short(name))'; its fields are "
        + model.fields.map(\.name).joined(separator: ", "))
  }

  /// Counts one of the run's requests if its user has no row. All rows of a request are of one user, as a rule.
  func noteUnknownUser(request: Int) {
    if let userSlot, !scorer.hasRow(request: request, slot: userSlot) { statistics.unknownUsers += 1 }
  }
}

/// Which side of a row a field belongs to.
enum FieldSide: Sendable {
  case request
  /// The item key, which both sides may say.
  case key
  case item
  case neither

  init(of position: Int, in model: ModelSpec) {
    if position == model.itemKey {
      self = .key
    } else {
      self = model.fields[position].source == .item ? .item : .request
    }
  }
}

enum RequestText {
  /// At most 64 characters, for an error message.
  static func short(_ text: some StringProtocol) -> String {
    text.count > 64 ? text.prefix(64) + "…" : String(text)
  }
}
