import FreshetHTTP
import FreshetModel
import NIOCore

/// The OpenAPI 3.1 description of a serving replica's HTTP port.
enum OpenAPIDocument {
  static func json(of model: ModelSpec) -> ByteBuffer {
    var names = JSONWriter()
    names.beginArray()
    names.write(model.name)
    for task in model.tasks { names.write("\(model.name):\(task.name)") }
    names.endArray()
    let enumeration = String(buffer: names.buffer)
    let text = """
      {"openapi": "3.1.0", \(info),
      "security": [{"bearer": []}, {"basic": []}, {}],
      "paths": {\([health, openInference, tensorFlow, recommend].joined(separator: ",\n"))},
      "components": {
      "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}, "basic": {"type": "http", "scheme": "basic"}},
      "parameters": {\(parameters.replacing("%MODELS%", with: enumeration).replacing("%VERSION%", with: "\(model.version)"))},
      "responses": {\(responses)},
      "schemas": {\(schemas)}}}
      """
    return ByteBuffer(string: text)
  }

  private static let info = """
    "info": {"title": "Freshet serving replica", "version": "\(FreshetVersion.current)",
      "description": "Scores and recommendations of a model that is trained on line. Every path gives the scores that RESP's SCORE gives, to the last bit.",
      "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"}}
    """

  private static let parameters = #"""
    "model": {"name": "model", "in": "path", "required": true, "schema": {"type": "string", "enum": %MODELS%},
      "description": "The model, or model:task for one of its tasks."},
    "version": {"name": "version", "in": "path", "required": true, "schema": {"const": "%VERSION%"},
      "description": "Of the model that answers now; there is no other."}
    """#

  private static let responses = #"""
    "Wrong": {"description": "The request is wrong; the message names what.",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
    "Unauthorized": {"description": "A password is configured and was not given.",
      "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
    "Unknown": {"description": "No such model, task, version or path.",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
    "TooBig": {"description": "The body, or the number of candidates, is beyond a limit.",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
    "Unsupported": {"description": "A content encoding, or tensors in binary.",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
    "Later": {"description": "LOADING: the replica has not copied every shard yet. BUSY: a limit of work in hand is reached.",
      "headers": {"Retry-After": {"schema": {"type": "integer"}}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    """#
}
