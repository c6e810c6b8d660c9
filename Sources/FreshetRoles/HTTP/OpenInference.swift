import FreshetHTTP
import FreshetModel

/// Replies of Open Inference Protocol v2.
enum OpenInference {
  static var noBinary: HTTPFailure {
    HTTPFailure(
      .unsupported, "tensors in binary are not understood; send `data` as JSON, and ask for no binary outputs")
  }

  static var serverMetadata: HTTPReply {
    .json { writer in
      writer.beginObject()
      writer.key("name")
      writer.write("freshet")
      writer.key("version")
      writer.write(FreshetVersion.current)
      writer.key("extensions")
      writer.beginArray()
      writer.endArray()
      writer.endObject()
    }
  }

  static func metadata(of model: NamedModel, _ spec: ModelSpec) -> HTTPReply {
    .json { writer in
      writer.beginObject()
      writer.key("name")
      writer.write(model.name)
      writer.key("versions")
      writer.beginArray()
      writer.write("\(spec.version)")
      writer.endArray()
      writer.key("platform")
      writer.write("freshet_\(spec.network.kind.rawValue)")
      writer.key("inputs")
      writer.beginArray()
      for field in spec.fields { tensor(field.name, type(of: field), rows: -1, to: &writer) }
      writer.endArray()
      writer.key("outputs")
      writer.beginArray()
      for task in model.tasks { tensor(task, .fp64, rows: -1, to: &writer) }
      writer.endArray()
      writer.endObject()
    }
  }

  private static func type(of field: FieldSpec) -> TensorType {
    guard !field.multi else { return .bytes }
    return switch field.type {
    case .integer: .int64
    case .float: .fp64
    case .string: .bytes
    }
  }

  private static func tensor(_ name: String, _ type: TensorType, rows: Int, to writer: inout JSONWriter) {
    writer.beginObject()
    describe(name, type, rows: rows, to: &writer)
    writer.endObject()
  }

  private static func describe(_ name: String, _ type: TensorType, rows: Int, to writer: inout JSONWriter) {
    writer.key("name")
    writer.write(name)
    writer.key("datatype")
    writer.write(type.rawValue)
    writer.key("shape")
    writer.beginArray()
    writer.write(rows)
    writer.endArray()
  }

  static func ready(
    _ model: NamedModel, _ report: @Sendable () async throws -> RoleReport
  ) async throws(HTTPFailure) -> HTTPReply {
    _ = try await MetricsPort.readiness(report)
    return .json { writer in
      writer.beginObject()
      writer.key("name")
      writer.write(model.name)
      writer.key("ready")
      writer.write(true)
      writer.endObject()
    }
  }

  /// - Parameter scores: For each output one for each row.
  static func reply(to request: OpenInferenceRequest, of model: NamedModel, _ scores: VersionedScores) -> HTTPReply {
    .json { writer in
      writer.beginObject()
      writer.key("model_name")
      writer.write(model.name)
      writer.key("model_version")
      writer.write("\(scores.version)")
      if let id = request.id {
        writer.key("id")
        writer.write(id)
      }
      writer.key("outputs")
      writer.beginArray()
      for (output, scores) in zip(request.outputs, scores.scores) {
        writer.beginObject()
        describe(output, .fp64, rows: scores.count, to: &writer)
        writer.key("data")
        writer.write(scores)
        writer.endObject()
      }
      writer.endArray()
      writer.endObject()
    }
  }
}

extension JSONWriter {
  mutating func write(_ numbers: [Double]) {
    beginArray()
    for number in numbers { write(number) }
    endArray()
  }
}
