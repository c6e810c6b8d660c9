import FreshetCore
import FreshetModel
import FreshetTable

/// One batch on its way through a trainer: which rows it needs from which server, forward, backward, and which gradients go
/// where.
///
/// Rows are laid out server by server, within a server by shard and table, so that a server's reply and its push are
/// contiguous. The object is used again for later batches and allocates nothing once it has seen its largest one.
final class TrainingStep {
  private let tables: ModelTables
  private let map: ShardMap
  private let network: Network
  private let width: Int
  private let taskCount: Int
  /// Dense chunks of each server, by shard: (section, chunk numbers).
  private let denseSections: [[(section: RowSection, chunks: [Int])]]

  private(set) var examples = 0
  private var minutes: UInt32 = 0
  private var report = BatchReport(
    tasks: [], exampleCount: 0, oldestIngest: UnixTime(milliseconds: 0), newestIngest: UnixTime(milliseconds: 0))

  private var deduplicator = FidDeduplicator()
  private var occurrences: [Int32] = []
  private var starts: [Int32] = []
  private var dense: [Float] = []
  private var labels: [Float] = []
  private var exampleWeights: [Float] = []
  private var negativeRates: [Float] = []
  private var origins: [ExampleOrigin] = []
  private var requestHashes: [UInt64] = []

  /// By group (server, shard, table): rows before it, and its end.
  private var groupStarts: [Int] = []
  private var orderedFids: [Fid] = []
  private var positions: [Int32] = []
  /// By server.
  private var embeddingSections: [[RowSection]]
  private var embeddingRows: [Range<Int>]
  /// Of the batch's fids, if the model has an audit.
  private var audit: OccurrenceCounts?

  private let rows = FloatBuffer()
  private let rowGradients = FloatBuffer()
  private let parameters = FloatBuffer()
  private let parameterGradients = FloatBuffer()
  private let logitGradients = FloatBuffer()
  private var awaited = 0
  private var received: [Bool]

  init(tables: ModelTables, map: ShardMap) {
    self.tables = tables
    self.map = map
    network = tables.makeNetwork()
    width = tables.shape.rowWidth
    taskCount = tables.shape.tasks
    embeddingSections = Array(repeating: [], count: map.serverCount)
    embeddingRows = Array(repeating: 0..<0, count: map.serverCount)
    received = Array(repeating: false, count: map.serverCount)
    audit = tables.auditTable.map { OccurrenceCounts(table: $0, map: map) }
    var byShard: [Int: [Int]] = [:]
    for chunk in 0..<tables.denseLayout.chunkCount {
      byShard[Int(map.shard(of: DenseLayout.fid(ofChunk: chunk)).value), default: []].append(chunk)
    }
    denseSections = (0..<map.serverCount).map { server in
      map.shards(of: ServerID(server)).compactMap { shard in
        guard let chunks = byShard[Int(shard.value)] else { return nil }
        return (RowSection(shard: shard, table: tables.denseTable, count: chunks.count), chunks)
      }
    }
    parameters.reserve(tables.denseLayout.paddedCount)
    parameterGradients.reserve(tables.denseLayout.paddedCount)
    parameterGradients.start.update(repeating: 0, count: tables.denseLayout.paddedCount)
  }

  // MARK: - Before the pull

  /// Takes up a batch and groups its distinct fids by server, shard and table.
  func begin(_ slice: ExampleSlice) {
    let batch = slice.batch
    examples = slice.count
    let slots = batch.layout.slotCount
    let fidRange = slice.fidRange
    deduplicator.begin(occurrences: fidRange.count)
    occurrences.removeAll(keepingCapacity: true)
    starts.removeAll(keepingCapacity: true)
    let firstStart = slice.examples.lowerBound * slots
    let startCount = examples * slots + 1
    batch.fids.withUnsafeBufferPointer { fids in
      batch.slotStarts.withUnsafeBufferPointer { slotStarts in
        for index in 0..<startCount { starts.append(slotStarts[firstStart &+ index] &- Int32(fidRange.lowerBound)) }
        var slot = 0
        for index in 0..<startCount - 1 {
          let table = UInt8(truncatingIfNeeded: tables.tableOfSlot[slot])
          for position in Int(slotStarts[firstStart &+ index])..<Int(slotStarts[firstStart &+ index &+ 1]) {
            occurrences.append(deduplicator.number(of: fids[position], table: table))
          }
          slot = slot &+ 1 == slots ? 0 : slot &+ 1
        }
        audit?.count(UnsafeBufferPointer(rebasing: fids[fidRange]))
      }
    }
    copyLabels(slice)
    group()
    rows.reserve(orderedFids.count * width)
    rowGradients.reserve(orderedFids.count * width)
    awaited = map.serverCount
    for server in received.indices { received[server] = false }
  }

  private func copyLabels(_ slice: ExampleSlice) {
    let batch = slice.batch
    let range = slice.examples
    let denseCount = batch.layout.denseCount
    dense.removeAll(keepingCapacity: true)
    dense.append(contentsOf: batch.dense[range.lowerBound * denseCount..<range.upperBound * denseCount])
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

  /// Counting sort of the distinct fids by (server, shard, table).
  private func group() {
    let embeddingTables = tables.slotTableCount
    let groupCount = map.shardCount * embeddingTables
    let distinct = deduplicator.fids.count
    // Holds each fid's group first, then its position.
    positions.removeAll(keepingCapacity: true)
    groupStarts.removeAll(keepingCapacity: true)
    groupStarts.append(contentsOf: repeatElement(0, count: groupCount))
    for number in 0..<distinct {
      let shard = ShardMap.shardIndex(of: deduplicator.fids[number], shardCount: map.shardCount)
      let group = shard &* embeddingTables &+ Int(deduplicator.tables[number])
      positions.append(Int32(truncatingIfNeeded: group))
      groupStarts[group] &+= 1
    }
    var next = 0
    for server in 0..<map.serverCount {
      let first = next
      embeddingSections[server].removeAll(keepingCapacity: true)
      for shard in 0..<map.shardCount where map.owners[shard].value == server {
        for table in 0..<embeddingTables {
          let count = groupStarts[shard * embeddingTables + table]
          groupStarts[shard * embeddingTables + table] = next
          next += count
          if count > 0 {
            embeddingSections[server].append(RowSection(shard: ShardID(shard), table: table, count: count))
          }
        }
      }
      embeddingRows[server] = first..<next
    }
    if orderedFids.count < distinct { orderedFids = [Fid](repeating: 0, count: max(distinct, orderedFids.count * 2)) }
    for number in 0..<distinct {
      let group = Int(positions[number])
      let position = groupStarts[group]
      groupStarts[group] = position + 1
      orderedFids[position] = deduplicator.fids[number]
      positions[number] = Int32(truncatingIfNeeded: position)
    }
    for index in occurrences.indices { occurrences[index] = positions[Int(occurrences[index])] }
  }

  /// The `PULL` for one server. Servers without embedding rows are asked for their dense chunks all the same.
  func encodePull(_ server: ServerID, into writer: inout BinaryWriter) {
    let range = embeddingRows[server.value]
    writer.write(PullRequest.version)
    RowSectionsCodec.encode(embeddingSections[server.value] + denseSections[server.value].map(\.section), into: &writer)
    orderedFids.withUnsafeBufferPointer { writer.write(fids: UnsafeBufferPointer(rebasing: $0[range])) }
    writeDenseFids(server, into: &writer)
  }

  private func writeDenseFids(_ server: ServerID, into writer: inout BinaryWriter) {
    for (_, chunks) in denseSections[server.value] {
      for chunk in chunks { writer.write(DenseLayout.fid(ofChunk: chunk)) }
    }
  }

  // MARK: - Between pull and push

  /// Takes a server's reply to the pull.
  /// - Returns: Whether all servers have answered.
  func accept(_ reply: UnsafeRawBufferPointer, from server: ServerID) throws(ClusterError) -> Bool {
    let range = embeddingRows[server.value]
    let denseChunks = denseSections[server.value].reduce(0) { $0 + $1.chunks.count }
    let expected = (range.count * width + denseChunks * DenseLayout.chunkWidth) * 4
    guard reply.count == expected, !received[server.value] else {
      throw ClusterError(
        .mismatch, "server \(server) answered a pull with \(reply.count) bytes, \(expected) were expected once")
    }
    received[server.value] = true
    awaited -= 1
    let embeddingBytes = range.count * width * 4
    UnsafeMutableRawBufferPointer(start: rows.start + range.lowerBound * width, count: embeddingBytes)
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: reply[..<embeddingBytes]))
    var position = embeddingBytes
    let chunkBytes = DenseLayout.chunkWidth * 4
    for (_, chunks) in denseSections[server.value] {
      for chunk in chunks {
        UnsafeMutableRawBufferPointer(start: parameters.start + chunk * DenseLayout.chunkWidth, count: chunkBytes)
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: reply[position..<position + chunkBytes]))
        position += chunkBytes
      }
    }
    return awaited == 0
  }

  /// Predicts, notes the predictions, and computes the gradients. All servers must have answered.
  func compute() {
    precondition(awaited == 0)
    rowGradients.start.update(repeating: 0, count: positionsInUse * width)
    if dense.isEmpty { dense.append(0) }
    starts.withUnsafeBufferPointer { starts in
      if occurrences.isEmpty { occurrences.append(0) }
      occurrences.withUnsafeBufferPointer { occurrences in
        dense.withUnsafeBufferPointer { dense in
          let input = NetworkInput(
            count: examples, rows: rows.start, occurrences: occurrences.baseAddress!, starts: starts.baseAddress!,
            denseFeatures: dense.baseAddress!)
          let logits = network.forward(input, parameters: parameters.start)
          differentiate(logits)
          network.backward(
            input, parameters: parameters.start, logitGradients: logitGradients.start, rowGradients: rowGradients.start,
            parameterGradients: parameterGradients.start)
        }
      }
    }
  }

  private var positionsInUse: Int { embeddingRows.last?.upperBound ?? 0 }

  /// Progressive validation of the logits, and the loss's gradient by them.
  private func differentiate(_ logits: UnsafePointer<Float>) {
    logitGradients.reserve(examples * taskCount)
    if report.tasks.count != taskCount {
      report.tasks = (0..<taskCount).map { _ in BatchReport.Task(loss: 0, predicted: 0, predictions: []) }
    }
    for task in 0..<taskCount {
      var loss = 0.0
      var predicted = 0.0
      report.tasks[task].predictions.removeAll(keepingCapacity: true)
      for example in 0..<examples {
        let index = example &* taskCount &+ task
        let terms = ExampleLoss(
          logit: logits[index], label: labels[index], origin: origins[example], negativeRate: negativeRates[example],
          requestHash: requestHashes[example])
        logitGradients.start[index] = exampleWeights[example] * terms.gradient
        loss += terms.loss
        predicted += terms.predicted
        // Ranked by the model's own logit: those of examples that were sampled at different rates compare.
        if terms.isCounted {
          report.tasks[task].predictions.append(Prediction(logit: logits[index], isPositive: labels[index] > 0.5))
        }
      }
      report.tasks[task].loss = loss
      report.tasks[task].predicted = predicted
    }
  }

  // MARK: - The push

  /// The body of one server's `PUSH`.
  func encodePush(_ server: ServerID, reportsHere: Bool, into writer: inout BinaryWriter) {
    let range = embeddingRows[server.value]
    orderedFids.withUnsafeBufferPointer { fids in
      PushRequest.encodeHead(
        minutes: minutes, report: reportsHere ? report : nil,
        sections: embeddingSections[server.value] + (audit?.sections[server.value] ?? [])
          + denseSections[server.value].map(\.section),
        fids: UnsafeBufferPointer(rebasing: fids[range]), into: &writer)
    }
    audit?.writeFids(server, into: &writer)
    writeDenseFids(server, into: &writer)
    writer.write(
      floats: UnsafeBufferPointer(start: rowGradients.start + range.lowerBound * width, count: range.count * width))
    audit?.writeGradients(server, into: &writer)
    for (_, chunks) in denseSections[server.value] {
      for chunk in chunks {
        writer.write(
          floats: UnsafeBufferPointer(
            start: parameterGradients.start + chunk * DenseLayout.chunkWidth, count: DenseLayout.chunkWidth))
      }
    }
  }
}
