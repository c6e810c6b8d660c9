import FreshetHTTP
import FreshetModel
import NIOCore

/// The body of `POST /v1/models/{model}:predict`: rows under `instances`, or columns under `inputs`.
struct PredictRequest {
  enum Format {
    case rows
    case columns
  }

  let format: Format
  /// As SCOREJSON takes it.
  let json: ByteBuffer

  /// - Throws: 400 that names what is wrong.
  init(_ root: JSONValue, _ model: ModelSpec) throws(HTTPFailure) {
    let members = try RequestJSON.members(
      of: root, "the request", known: ["signature_name", "instances", "inputs"])
    if let signature = members["signature_name"], signature.string != "serving_default" {
      throw HTTPFailure(
        .badRequest, "no signature \(signature.excerpt); there is `serving_default`, which may be left out")
    }
    switch (members["instances"], members["inputs"]) {
    case (let instances?, nil):
      format = .rows
      json = try Self.candidates(instances, model)
    case (nil, let inputs?):
      format = .columns
      json = try Self.columns(inputs, model)
    default:
      throw HTTPFailure(
        .badRequest, "expected {\"instances\":[{field:value,…},…]} or {\"inputs\":{field:[value,…],…}}, one of them")
    }
  }

  private static func candidates(_ instances: JSONValue, _ model: ModelSpec) throws(HTTPFailure) -> ByteBuffer {
    guard instances.kind == .array else {
      throw HTTPFailure(.badRequest, "`instances` must be a list of objects, not \(instances.excerpt)")
    }
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("candidates")
    writer.beginArray()
    for (number, instance) in instances.children.enumerated() {
      guard instance.kind == .object else {
        throw HTTPFailure(
          .badRequest,
          "instance \(number) is \(instance.excerpt); the model has several fields, so it must be an object")
      }
      writer.beginObject()
      for member in instance.children {
        let name = member.memberName
        writer.key(name)
        writer.write(isList(name, model) ? member : member.unwrapped)
      }
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return writer.buffer
  }

  private static func columns(_ inputs: JSONValue, _ model: ModelSpec) throws(HTTPFailure) -> ByteBuffer {
    guard inputs.kind == .object, inputs.childCount > 0 else {
      throw HTTPFailure(.badRequest, "`inputs` must be an object of columns {field:[value,…],…}, not \(inputs.excerpt)")
    }
    var table = ColumnTable()
    for column in inputs.children {
      let name = column.memberName
      let what = "input `\(HTTPFailure.short(name))`"
      let isList = isList(name, model)
      let values = column.kind == .array ? column.children.map { isList ? $0 : $0.unwrapped } : [column]
      try table.add(name, values, what)
    }
    return table.json
  }

  private static func isList(_ name: String, _ model: ModelSpec) -> Bool {
    model.field(named: name).map { model.fields[$0].multi } ?? false
  }
}

/// Replies of TensorFlow Serving's REST API.
enum TensorFlowServing {
  /// The state of the model's one version.
  static func status(
    version: Int, _ report: @Sendable () async throws -> RoleReport
  ) async throws(HTTPFailure) -> HTTPReply {
    let isReady: Bool
    do throws(HTTPFailure) {
      _ = try await MetricsPort.readiness(report)
      isReady = true
    } catch {
      guard error.kind == .loading else { throw error }
      isReady = false
    }
    return .json { writer in
      writer.beginObject()
      writer.key("model_version_status")
      writer.beginArray()
      writer.beginObject()
      writer.key("version")
      writer.write("\(version)")
      writer.key("state")
      writer.write(isReady ? "AVAILABLE" : "LOADING")
      writer.key("status")
      writer.beginObject()
      writer.key("error_code")
      writer.write("OK")
      writer.key("error_message")
      writer.write("")
      writer.endObject()
      writer.endObject()
      writer.endArray()
      writer.endObject()
    }
  }

  /// The scores of a model with one task stand alone; those of several tasks have names.
  /// - Parameter scores: For each task one for each row.
  static func reply(to request: PredictRequest, tasks: [String], _ scores: [[Double]]) -> HTTPReply {
    .json { writer in
      writer.beginObject()
      switch request.format {
      case .rows:
        writer.key("predictions")
        if tasks.count == 1 { writer.write(scores[0]) } else { writeRows(tasks, scores, to: &writer) }
      case .columns:
        writer.key("outputs")
        if tasks.count == 1 { writer.write(scores[0]) } else { writeColumns(tasks, scores, to: &writer) }
      }
      writer.endObject()
    }
  }

  private static func writeRows(_ tasks: [String], _ scores: [[Double]], to writer: inout JSONWriter) {
    writer.beginArray()
    for row in scores[0].indices {
      writer.beginObject()
      for (task, scores) in zip(tasks, scores) {
        writer.key(task)
        writer.write(scores[row])
      }
      writer.endObject()
    }
    writer.endArray()
  }

  private static func writeColumns(_ tasks: [String], _ scores: [[Double]], to writer: inout JSONWriter) {
    writer.beginObject()
    for (task, scores) in zip(tasks, scores) {
      writer.key(task)
      writer.write(scores)
    }
    writer.endObject()
  }
}
