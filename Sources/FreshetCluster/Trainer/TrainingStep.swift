import FreshetCore
import FreshetModel
import FreshetTable

/// One batch on its way through a trainer: which rows it needs from which server, forward, backward, and which gradients go
/// where.
///
/// The batch is worked off in micro-batches. After each one the trainer takes the optimizer's step on its own copies of the rows, so
/// that the next one sees what it taught, and the push carries the gradients one by one: the servers, which apply them in the
/// same order with the same code, arrive at the same rows. Dense tensors take one step a batch. The object is used again for
/// later batches and allocates nothing once it has seen its largest one.
final class TrainingStep {
  private let tables: ModelTables
  private let map: ShardMap
  private let microBatchSize: Int
  private let keepsOutcomes: Bool
  private let network: Network
  private let taskCount: Int
  private let batchRows: BatchRows
  /// By slot table.
  private let updaters: [RowUpdater]
  /// Of each server, by shard: the dense table's section and, one section's behind the other's, the numbers of its chunks.
  private let denseSections: [[RowSection]]
  private let denseChunks: [[Int]]

  private(set) var examples = 0
  private var minutes: UInt32 = 0
  private(set) var report = BatchReport(
    tasks: [], exampleCount: 0, oldestIngest: UnixTime(milliseconds: 0), newestIngest: UnixTime(milliseconds: 0))

  private var dense: [Float] = []
  private var labels: [Float] = []
  private var exampleWeights: [Float] = []
  private var negativeRates: [Float] = []
  private var origins: [ExampleOrigin] = []
  private var requestHashes: [UInt64] = []
  /// Row-major `examples × tasks` if they are kept; else empty.
  private var outcomes: [ValidationOutcome] = []
  /// Of the batch's fids, if the model has an audit.
  private var audit: OccurrenceCounts?

  private let rows = FloatBuffer()
  private let states = FloatBuffer()
  private let rowGradients = FloatBuffer()
  private let parameters = FloatBuffer()
  private let parameterGradients = FloatBuffer()
  private let logitGradients = FloatBuffer()
  private let batchLogits = FloatBuffer()
  private var awaited = 0
  private var received: [Bool]

  /// - Parameter microBatchSize: Examples that do not see what the others of them taught. From the batch's size on there are no
  ///   steps within the batch, and no optimizer state is pulled.
  /// - Parameter keepsOutcomes: Whether `withOutcomes` has something to give.
  init(tables: ModelTables, map: ShardMap, microBatchSize: Int, keepsOutcomes: Bool) {
    precondition(microBatchSize > 0)
    self.tables = tables
    self.map = map
    self.microBatchSize = microBatchSize
    self.keepsOutcomes = keepsOutcomes
    network = tables.makeNetwork()
    taskCount = tables.shape.tasks
    batchRows = BatchRows(tables: tables, map: map)
    updaters = tables.layouts.prefix(tables.slotTableCount).map { RowUpdater(layout: $0) }
    received = Array(repeating: false, count: map.serverCount)
    audit = tables.auditTable.map { OccurrenceCounts(table: $0, map: map) }
    var byShard: [Int: [Int]] = [:]
    for chunk in 0..<tables.denseLayout.chunkCount {
      byShard[Int(map.shard(of: DenseLayout.fid(ofChunk: chunk)).value), default: []].append(chunk)
    }
    denseSections = (0..<map.serverCount).map { server in
      map.shards(of: ServerID(server)).compactMap { shard in
        byShard[Int(shard.value)].map { RowSection(shard: shard, table: tables.denseTable, count: $0.count) }
      }
    }
    denseChunks = denseSections.map { sections in sections.flatMap { byShard[Int($0.shard.value)]! } }
    parameters.reserve(tables.denseLayout.paddedCount)
    parameterGradients.reserve(tables.denseLayout.paddedCount)
    parameterGradients.start.update(repeating: 0, count: tables.denseLayout.paddedCount)
  }

  // MARK: - Before the pull

  /// Whether the trainer goes on from its own copies of rows.
  private var hasSteps: Bool { microBatchSize < examples }

  /// Takes up a batch and lays out its rows.
  func begin(_ slice: ExampleSlice) {
    examples = slice.count
    batchRows.layOut(slice, microBatchSize: microBatchSize, withState: hasSteps)
    if audit != nil {
      slice.batch.fids.withUnsafeBufferPointer { audit?.count(UnsafeBufferPointer(rebasing: $0[slice.fidRange])) }
    }
    copyLabels(slice)
    rows.reserve(batchRows.weightCount)
    states.reserve(batchRows.stateCount)
    rowGradients.reserve(batchRows.gradientCount)
    awaited = map.serverCount
    for server in received.indices { received[server] = false }
  }

  private func copyLabels(_ slice: ExampleSlice) {
    let batch = slice.batch
    let range = slice.examples
    let denseCount = batch.layout.denseCount
    dense.removeAll(keepingCapacity: true)
    dense.append(contentsOf: batch.dense[range.lowerBound * denseCount..<range.upperBound * denseCount])
    // Its memory has an address.
    if dense.isEmpty { dense.append(0) }
    labels.removeAll(keepingCapacity: true)
    labels.append(contentsOf: batch.labels[range.lowerBound * taskCount..<range.upperBound * taskCount])
    exampleWeights.removeAll(keepingCapacity: true)
    exampleWeights.append(contentsOf: batch.weights[range])
    negativeRates.removeAll(keepingCapacity: true)
    negativeRates.append(contentsOf: batch.negativeRates[range])
    origins.removeAll(keepingCapacity: true)
    origins.append(contentsOf: batch.origins[range])
    requestHashes.removeAll(keepingCapacity: true)
    requestHashes.append(contentsOf: batch.requestHashes[range])
    var newestEvent = Int64.min
    var oldestIngest = Int64.max
    var newestIngest = Int64.min
    for example in range {
      newestEvent = max(newestEvent, batch.actionTimes[example])
      oldestIngest = min(oldestIngest, batch.ingestTimes[example])
      newestIngest = max(newestIngest, batch.ingestTimes[example])
    }
    minutes = UnixTime(milliseconds: newestEvent).minutes
    report.exampleCount = range.count
    report.oldestIngest = UnixTime(milliseconds: oldestIngest)
    report.newestIngest = UnixTime(milliseconds: newestIngest)
  }

  /// Bytes of `encodePull`, or a little more.
  func pullByteCount(_ server: ServerID) -> Int {
    let share = batchRows.shares[server.value]
    let sections = share.pullSections.count + denseSections[server.value].count
    return 16 + sections * 8 + (share.pulled.count + denseChunks[server.value].count) * 8
  }

  /// The `PULL` for one server. Servers without embedding rows are asked for their dense chunks all the same.
  func encodePull(_ server: ServerID, into writer: inout BinaryWriter) {
    let share = batchRows.shares[server.value]
    writer.write(PullRequest.version)
    RowSectionsCodec.encode(share.pullSections, denseSections[server.value], into: &writer)
    writer.write(
      fids: UnsafeBufferPointer(start: batchRows.pulledFids.start + share.pulled.lowerBound, count: share.pulled.count))
    writeDenseFids(server, into: &writer)
  }

  private func writeDenseFids(_ server: ServerID, into writer: inout BinaryWriter) {
    for chunk in denseChunks[server.value] { writer.write(DenseLayout.fid(ofChunk: chunk)) }
  }

  // MARK: - Between pull and push

  /// Takes a server's reply to the pull.
  /// - Returns: Whether all servers have answered.
  func accept(_ reply: UnsafeRawBufferPointer, from server: ServerID) throws(ClusterError) -> Bool {
    let denseChunks = denseChunks[server.value]
    let share = batchRows.shares[server.value]
    let expected = denseChunks.count * DenseLayout.chunkWidth + share.weights.count + share.states.count
    guard reply.count == expected * 4, !received[server.value] else {
      throw ClusterError(
        .mismatch, "server \(server) answered a pull with \(reply.count) bytes, \(expected * 4) were expected once")
    }
    received[server.value] = true
    awaited -= 1
    var source = reply.baseAddress
    func take(_ count: Int, to target: UnsafeMutablePointer<Float>) {
      guard count > 0, let from = source else { return }
      UnsafeMutableRawPointer(target).copyMemory(from: from, byteCount: count * 4)
      source = from + count * 4
    }
    var (weight, state) = (share.weights.lowerBound, share.states.lowerBound)
    for section in share.pullSections {
      let count = section.count * batchRows.widths[section.table]
      take(count, to: rows.start + weight)
      weight += count
      if section.withState {
        let count = section.count * batchRows.stateWidths[section.table]
        take(count, to: states.start + state)
        state += count
      }
    }
    for chunk in denseChunks { take(DenseLayout.chunkWidth, to: parameters.start + chunk * DenseLayout.chunkWidth) }
    return awaited == 0
  }

  /// Of the batch, row-major `examples × tasks`; valid until the next batch.
  var logits: UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: batchLogits.start, count: examples * taskCount)
  }

  /// Progressive validation of the batch by example, row-major `examples × tasks`; empty if it is not kept.
  func withOutcomes(_ body: (UnsafeBufferPointer<ValidationOutcome>) -> Void) {
    outcomes.withUnsafeBufferPointer(body)
  }

  /// Predicts each example, notes the prediction, then learns from it, a micro-batch at a time. All servers must have answered.
  func compute() {
    precondition(awaited == 0)
    rowGradients.start.update(repeating: 0, count: batchRows.gradientCount)
    parameterGradients.start.update(repeating: 0, count: tables.denseLayout.parameterCount)
    logitGradients.reserve(min(microBatchSize, examples) * taskCount)
    batchLogits.reserve(examples * taskCount)
    beginReport()
    dense.withUnsafeBufferPointer { dense in
      var first = 0
      var microBatch = 0
      while first < examples {
        let count = min(microBatchSize, examples &- first)
        let input = NetworkInput(
          count: count, rows: rows.start, occurrences: batchRows.occurrences.start,
          gradientRows: batchRows.gradientRows.start, starts: batchRows.starts.start + first &* tables.shape.slots,
          denseFeatures: dense.baseAddress! + first &* tables.shape.denseFeatures)
        differentiate(network.forward(input, parameters: parameters.start), first: first, count: count)
        network.backward(
          input, parameters: parameters.start, logitGradients: logitGradients.start, rowGradients: rowGradients.start,
          parameterGradients: parameterGradients.start)
        first &+= count
        // After the last one the copies are not read again.
        if first < examples { step(microBatch) }
        microBatch &+= 1
      }
    }
  }

  /// The optimizer's step on the copies of a micro-batch's rows.
  private func step(_ microBatch: Int) {
    let ends = batchRows.runEnds.start
    let runs = batchRows.runs.start
    for number in (microBatch == 0 ? 0 : Int(ends[microBatch &- 1]))..<Int(ends[microBatch]) {
      let first = number == 0 ? 0 : Int(runs[number &- 1].end)
      updaters[Int(runs[number].table)].update(
        UnsafeBufferPointer(start: batchRows.updates.start + first, count: Int(runs[number].end) &- first),
        weights: rows.start, states: states.start, gradients: rowGradients.start)
    }
  }

  private func beginReport() {
    if report.tasks.count != taskCount {
      report.tasks = (0..<taskCount).map { _ in BatchReport.Task(loss: 0, predicted: 0, predictions: []) }
    }
    for task in 0..<taskCount {
      report.tasks[task].loss = 0
      report.tasks[task].predicted = 0
      report.tasks[task].predictions.removeAll(keepingCapacity: true)
    }
    guard keepsOutcomes else { return }
    outcomes.removeAll(keepingCapacity: true)
    outcomes.append(contentsOf: repeatElement(.nothing, count: examples * taskCount))
  }

  /// Progressive validation of a micro-batch's logits, and the loss's gradient by them.
  private func differentiate(_ logits: UnsafePointer<Float>, first: Int, count: Int) {
    (batchLogits.start + first &* taskCount).update(from: logits, count: count &* taskCount)
    for task in 0..<taskCount {
      var loss = 0.0
      var predicted = 0.0
      for member in 0..<count {
        let example = first &+ member
        let label = labels[example &* taskCount &+ task]
        let index = member &* taskCount &+ task
        let terms = ExampleLoss(
          logit: logits[index], label: label, origin: origins[example], negativeRate: negativeRates[example],
          requestHash: requestHashes[example])
        logitGradients.start[index] = exampleWeights[example] * terms.gradient
        loss += terms.loss
        predicted += terms.predicted
        // Ranked by the model's own logit: those of examples that were sampled at different rates compare.
        let prediction = Prediction(logit: logits[index], isPositive: label > 0.5)
        if terms.isCounted { report.tasks[task].predictions.append(prediction) }
        if keepsOutcomes {
          outcomes[example &* taskCount &+ task] = ValidationOutcome(
            loss: terms.loss, predicted: terms.predicted, prediction: prediction, isCounted: terms.isCounted)
        }
      }
      report.tasks[task].loss += loss
      report.tasks[task].predicted += predicted
    }
  }

  // MARK: - The push

  /// Bytes of `encodePush`, or a little more.
  func pushByteCount(_ server: ServerID) -> Int {
    let share = batchRows.shares[server.value]
    let auditRows = audit?.sections[server.value].reduce(0) { $0 + $1.count } ?? 0
    let chunks = denseChunks[server.value].count
    let sections =
      share.pushSections.count + (audit?.sections[server.value].count ?? 0) + denseSections[server.value].count
    return 64 + taskCount * (20 + 2 * examples) + sections * 8 + share.pushed.count * 8 + share.gradients.count * 4
      + auditRows * 12 + chunks * (8 + 4 * DenseLayout.chunkWidth)
  }

  /// The body of one server's `PUSH`.
  func encodePush(_ server: ServerID, reportsHere: Bool, into writer: inout BinaryWriter) {
    let share = batchRows.shares[server.value]
    PushRequest.encodeHead(minutes: minutes, report: reportsHere ? report : nil, into: &writer)
    RowSectionsCodec.encode(
      share.pushSections, audit?.sections[server.value] ?? [], denseSections[server.value], into: &writer)
    writer.write(
      fids: UnsafeBufferPointer(start: batchRows.pushedFids.start + share.pushed.lowerBound, count: share.pushed.count))
    audit?.writeFids(server, into: &writer)
    writeDenseFids(server, into: &writer)
    writer.write(
      floats: UnsafeBufferPointer(
        start: rowGradients.start + share.gradients.lowerBound, count: share.gradients.count))
    audit?.writeGradients(server, into: &writer)
    for chunk in denseChunks[server.value] {
      writer.write(
        floats: UnsafeBufferPointer(
          start: parameterGradients.start + chunk * DenseLayout.chunkWidth, count: DenseLayout.chunkWidth))
    }
  }
}
