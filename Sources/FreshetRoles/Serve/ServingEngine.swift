import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire

/// Answers requests for scores from a replica's copy and the item catalog. No I/O; belongs to one thread.
///
/// Each request's rows are computed in memory that is used again, and scored as one batch.
final class ServingEngine {
  /// Nesting of a request's JSON.
  private static let jsonDepth = 8

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
  var row: FeatureRow
  var batch: ExampleBatch
  /// Hashes of the names that JSON requests may use.
  let memberNames: [UInt64: FieldSide]
  /// The slot whose fid is the user's, if there is one.
  private let userSlot: Int?

  init(model: ModelSpec, reader: ReplicaReader, catalog: ServingCatalog, limits: ServingLimits) throws {
    self.model = model
    self.reader = reader
    self.catalog = catalog
    self.limits = limits
    extractor = try FeatureExtractor(model)
    scorer = Scorer(reader: reader)
    requestReader = JSONRecordReader(maxBytes: RESPLimits.requests.maxBulkBytes, maxDepth: Self.jsonDepth)
    itemReader = JSONRecordReader(maxBytes: ServingCatalog.maximumRecordBytes, maxDepth: 32)
    scratch = extractor.makeScratch()
    itemScratch = extractor.makeScratch()
    row = extractor.makeRow()
    batch = ExampleBatch(
      layout: extractor.layout, capacity: max(limits.maxCandidates, Recommendation.chunkItems))
    var names: [UInt64: FieldSide] = [:]
    for (position, field) in model.fields.enumerated() {
      names[Hashing.xxh3(field.name)] = FieldSide(of: position, in: model)
    }
    // A `features` record may be sent as it is.
    for name in [JoinRecord.requestID, JoinRecord.eventTime] where names[Hashing.xxh3(name)] == nil {
      names[Hashing.xxh3(name)] = .neither
    }
    memberNames = names
    userSlot = model.slots.firstIndex { $0.fields == [model.userKey] }
  }

  /// The catalog as it is now.
  var items: ItemCatalog { reader.read { _ in catalog.items } }

  // MARK: - Choosing

  /// A model's name, or `model:task`; without a task it is the first one.
  /// - Returns: The task's position.
  func task(named name: String) throws(WireError) -> Int {
    if name == model.name { return 0 }
    if name.hasPrefix(model.name + ":") {
      let task = name.dropFirst(model.name.count + 1)
      if let position = model.tasks.firstIndex(where: { $0.name == task }) { return position }
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

  func position(ofField name: String) throws(WireError) -> Int {
    if let position = model.field(named: name) { return position }
    throw unknownField(name)
  }

  func unknownField(_ name: String) -> WireError {
    WireError(
      .err,
      "model \(model.name) has no field '\(RequestText.short(name))'; its fields are "
        + model.fields.map(\.name).joined(separator: ", "))
  }

  // MARK: - Rows

  /// Empties the batch and fills it with `count` rows.
  /// - Parameters:
  ///   - requestPerRow: Whether the request's side differs from row to row.
  ///   - saysItemFields: Whether the request says more of the item than its key; that stands above the catalog.
  ///   - fill: Puts the fields of one row and side into a scratch.
  func fillBatch(
    count: Int, requestPerRow: Bool, saysItemFields: Bool,
    fill: (Int, FeatureExtractor.Fields, FeatureScratch) throws(FeatureError) -> Void
  ) throws(WireError) {
    batch.removeAll()
    var number = 0
    do throws(FeatureError) {
      var request: UnsafeRawPointer?
      while number < count {
        guard !batch.isFull else { break }
        if requestPerRow || request == nil {
          scratch.reset()
          try fill(number, .request, scratch)
          request = try extractor.requestPart(scratch).baseAddress
        }
        scratch.reset()
        try fill(number, .item, scratch)
        let item = try itemPart(saysItemFields: saysItemFields) { (scratch) throws(FeatureError) in
          try fill(number, .item, scratch)
        }
        if let request { try extractor.combine(request: request, item: item, into: &row, scratch) }
        batch.append(row)
        number += 1
      }
    } catch {
      throw WireError(.err, error.message)
    }
    guard number == count else {
      throw WireError(.tooBig, "the features of \(count) candidates do not fit one request; \(number) would")
    }
  }

  /// The item's side for the key in `scratch`: from the catalog, from the request, or from both.
  private func itemPart(
    saysItemFields: Bool, fill: (FeatureScratch) throws(FeatureError) -> Void
  ) throws(FeatureError) -> UnsafeRawPointer {
    let key = extractor.text(of: model.itemKey, in: scratch)
    guard saysItemFields else {
      let item = try extractor.resolveItem(items, scratch)
      if key != nil, item.known == nil { statistics.unknownItems += 1 }
      // The catalog holds a known item, and the scratch another one's part, until the row is made.
      return item.part
    }
    let known = key.flatMap { items.item(key: $0) }
    if key != nil, known == nil { statistics.unknownItems += 1 }
    itemScratch.reset()
    if let known { try readCatalogRecord(known) }
    try fill(itemScratch)
    return try extractor.itemPart(itemScratch).baseAddress!
  }

  private func readCatalogRecord(_ item: CatalogItem) throws(FeatureError) {
    let result = item.json.withUnsafeBytes { bytes in
      Result { () throws(FeatureError) in
        // It was parsed when it came, so it does so again.
        guard let object = try? itemReader.parse(bytes) else { return }
        try extractor.read(object, .item, into: itemScratch)
      }
    }
    try result.get()
  }

  /// Scores the batch.
  func scores(task: Int) -> [Double] {
    noteUnknownUser()
    statistics.requests += 1
    statistics.candidates += UInt64(batch.count)
    let probabilities = scorer.probabilities(of: batch)
    let tasks = model.tasks.count
    return tasks == 1 ? probabilities : (0..<batch.count).map { probabilities[$0 * tasks + task] }
  }

  /// All rows of a request are of one user, as a rule; the first one tells.
  func noteUnknownUser() {
    guard let userSlot, !batch.isEmpty else { return }
    for position in batch.fidRange(example: 0, slot: userSlot) {
      let (table, fid) = (reader.tables.tableOfSlot[userSlot], batch.fids[position])
      if reader.read({ $0.contains(table: table, fid: fid) }) { return }
    }
    statistics.unknownUsers += 1
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
