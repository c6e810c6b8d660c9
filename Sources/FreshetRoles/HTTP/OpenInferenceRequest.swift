import FreshetHTTP
import FreshetModel
import NIOCore

/// The body of `POST /v2/models/{model}/infer`: one tensor for each field.
struct OpenInferenceRequest {
  let id: String?
  /// The tasks asked for.
  let outputs: [String]
  /// As SCOREJSON takes it.
  let json: ByteBuffer
  let rowCount: Int

  /// - Throws: 400 that names what is wrong, 415 for tensors in binary.
  init(_ root: JSONValue, _ model: NamedModel) throws(HTTPFailure) {
    let members = try RequestJSON.members(of: root, "the request", known: ["id", "inputs", "outputs", "parameters"])
    try Self.check(parameters: members["parameters"], "the request")
    if let id = members["id"], id.kind != .null {
      guard let text = id.string else { throw HTTPFailure(.badRequest, "`id` must be text, not \(id.excerpt)") }
      self.id = text
    } else {
      id = nil
    }
    outputs = try Self.outputs(members["outputs"], model)
    guard let inputs = members["inputs"], inputs.kind == .array, inputs.childCount > 0 else {
      throw HTTPFailure(
        .badRequest,
        "`inputs` must be a list of tensors {\"name\":…,\"shape\":[n],\"datatype\":…,\"data\":[…]}, one a field")
    }
    var table = ColumnTable()
    for input in inputs.children { try Self.add(input, to: &table) }
    json = table.json
    rowCount = table.rowCount ?? 0
  }

  private static func outputs(_ value: JSONValue?, _ model: NamedModel) throws(HTTPFailure) -> [String] {
    guard let value, value.kind != .null else { return model.tasks }
    guard value.kind == .array else {
      throw HTTPFailure(.badRequest, "`outputs` must be a list of {\"name\":…}, not \(value.excerpt)")
    }
    var outputs: [String] = []
    for output in value.children {
      let members = try RequestJSON.members(of: output, "an output", known: ["name", "parameters"])
      try check(parameters: members["parameters"], "an output")
      guard let name = members["name"]?.string, model.tasks.contains(name) else {
        throw HTTPFailure(
          .badRequest,
          "no output \(members["name"]?.excerpt ?? "without a name"); \(model.name) has \(model.tasks.joined(separator: ", "))"
        )
      }
      guard !outputs.contains(name) else { throw HTTPFailure(.badRequest, "the output `\(name)` is asked for twice") }
      outputs.append(name)
    }
    return outputs.isEmpty ? model.tasks : outputs
  }

  private static func add(_ input: JSONValue, to table: inout ColumnTable) throws(HTTPFailure) {
    let members = try RequestJSON.members(
      of: input, "an input", known: ["name", "shape", "datatype", "data", "parameters"])
    guard let name = members["name"]?.string else {
      throw HTTPFailure(.badRequest, "an input has no `name`; it is a field's")
    }
    let what = "input `\(HTTPFailure.short(name))`"
    try check(parameters: members["parameters"], what)
    guard let datatype = (members["datatype"]?.string).flatMap(TensorType.init(rawValue:)) else {
      let known = TensorType.allCases.map(\.rawValue).joined(separator: ", ")
      throw HTTPFailure(
        .badRequest, "\(what) has the datatype \(members["datatype"]?.excerpt ?? "(none)"); possible are \(known)")
    }
    let count = try rowCount(members["shape"], what)
    guard let data = members["data"], data.kind == .array else {
      throw HTTPFailure(.badRequest, "\(what) has no `data`; it is a list of values")
    }
    var values: [JSONValue] = []
    values.reserveCapacity(data.childCount)
    for element in data.children {
      let value = element.unwrapped
      guard datatype.holds(value) else {
        throw HTTPFailure(
          .badRequest, "\(what) is \(datatype.rawValue), and \(element.excerpt) at position \(values.count) is not")
      }
      values.append(value)
    }
    guard values.count == count else {
      throw HTTPFailure(.badRequest, "\(what) has \(values.count) values, and its shape says \(count)")
    }
    try table.add(name, values, what)
  }

  /// Of `[n]` and `[n, 1]`.
  private static func rowCount(_ shape: JSONValue?, _ what: String) throws(HTTPFailure) -> Int {
    let sizes = shape?.children.map { $0.kind == .int64 ? $0.int64 : -1 } ?? []
    guard let first = sizes.first, (0...Int64(Int32.max)).contains(first), sizes.dropFirst().allSatisfy({ $0 == 1 }),
      sizes.count <= 2
    else {
      throw HTTPFailure(
        .badRequest,
        "\(what) has the shape \(shape.map(Self.text(of:)) ?? "(none)"); a field's is [n] or [n,1], lists are text with | between the values"
      )
    }
    return Int(first)
  }

  private static func text(of value: JSONValue) -> String {
    var writer = JSONWriter()
    writer.write(value)
    return HTTPFailure.short(String(buffer: writer.buffer))
  }

  /// Parameters are hints; those that would change the form of the data must not be overlooked.
  private static func check(parameters: JSONValue?, _ what: String) throws(HTTPFailure) {
    guard let parameters, parameters.kind != .null else { return }
    guard parameters.kind == .object else {
      throw HTTPFailure(.badRequest, "`parameters` of \(what) must be an object, not \(parameters.excerpt)")
    }
    for parameter in parameters.children {
      switch parameter.memberName {
      case "binary_data_size": throw OpenInference.noBinary
      case "binary_data", "binary_data_output":
        if parameter.kind == .bool, !parameter.bool { continue }
        throw OpenInference.noBinary
      default: continue
      }
    }
  }
}

/// The protocol's types of tensors that fields may come in.
enum TensorType: String, CaseIterable {
  case int8 = "INT8"
  case int16 = "INT16"
  case int32 = "INT32"
  case int64 = "INT64"
  case uint8 = "UINT8"
  case uint16 = "UINT16"
  case uint32 = "UINT32"
  case uint64 = "UINT64"
  case fp16 = "FP16"
  case fp32 = "FP32"
  case fp64 = "FP64"
  case bytes = "BYTES"

  /// Whether a value is one of this type. Floating-point numbers are taken as they are written, not rounded to the type.
  func holds(_ value: JSONValue) -> Bool {
    switch self {
    case .int8: Self.isContained(value, in: Int8.self)
    case .int16: Self.isContained(value, in: Int16.self)
    case .int32: Self.isContained(value, in: Int32.self)
    case .int64: value.kind == .int64
    case .uint8: Self.isContained(value, in: UInt8.self)
    case .uint16: Self.isContained(value, in: UInt16.self)
    case .uint32: Self.isContained(value, in: UInt32.self)
    case .uint64: value.kind == .uint64 || (value.kind == .int64 && value.int64 >= 0)
    case .fp16, .fp32, .fp64: value.number != nil
    case .bytes: value.kind == .string
    }
  }

  private static func isContained<Number: FixedWidthInteger>(_ value: JSONValue, in type: Number.Type) -> Bool {
    value.kind == .int64 && Number(exactly: value.int64) != nil
  }
}
