import FreshetHTTP
import NIOCore

/// The OpenAPI 3.1 description of the gateway's port.
enum GatewayOpenAPI {
  /// - Parameter topics: Those that may be written.
  static func json(topics: [String]) -> ByteBuffer {
    var names = JSONWriter()
    names.beginArray()
    for topic in topics { names.write(topic) }
    names.endArray()
    let text = """
      {"openapi": "3.1.0", \(info),
      "security": [{"bearer": []}, {"basic": []}, {}],
      "paths": {\([OpenAPIDocument.health, proxy, events].joined(separator: ",\n"))},
      "components": {
      "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}, "basic": {"type": "http", "scheme": "basic"}},
      "parameters": {\(parameters.replacing("%TOPICS%", with: String(buffer: names.buffer)))},
      "requestBodies": {\(requestBodies)},
      "responses": {\(responses)},
      "schemas": {\(schemas)}}}
      """
    return ByteBuffer(string: text)
  }

  private static let info = """
    "info": {"title": "Freshet gateway", "version": "\(FreshetVersion.current)",
      "description": "Records go to Kafka by HTTP. A reply comes after the broker's acknowledgement.",
      "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"}}
    """

  private static let parameters = #"""
    "topic": {"name": "topic", "in": "path", "required": true, "schema": {"type": "string", "enum": %TOPICS%},
      "description": "One of gateway.topics."},
    "partition": {"name": "partition", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 0}}
    """#

  private static let proxy = #"""
    "/topics": {"get": {"operationId": "topics", "tags": ["REST Proxy v2"], "summary": "The topics that may be written",
        "responses": {"200": {"description": "OK", "content": {"application/vnd.kafka.v2+json": {"schema":
              {"type": "array", "items": {"type": "string"}}}}},
          "401": {"$ref": "#/components/responses/ProxyError"}, "406": {"$ref": "#/components/responses/ProxyError"},
          "503": {"$ref": "#/components/responses/ProxyLater"}}}},
    "/topics/{topic}": {"get": {"operationId": "topic", "tags": ["REST Proxy v2"], "summary": "A topic's properties and partitions",
        "parameters": [{"$ref": "#/components/parameters/topic"}],
        "responses": {"200": {"description": "OK", "content": {"application/vnd.kafka.v2+json": {"schema":
              {"$ref": "#/components/schemas/Topic"}}}},
          "401": {"$ref": "#/components/responses/ProxyError"}, "404": {"$ref": "#/components/responses/ProxyError"},
          "406": {"$ref": "#/components/responses/ProxyError"}, "503": {"$ref": "#/components/responses/ProxyLater"}}},
      "post": {"operationId": "produce", "tags": ["REST Proxy v2"], "summary": "Write records",
        "parameters": [{"$ref": "#/components/parameters/topic"}],
        "requestBody": {"$ref": "#/components/requestBodies/Records"},
        "responses": {"200": {"$ref": "#/components/responses/Offsets"},
          "400": {"$ref": "#/components/responses/ProxyError"}, "401": {"$ref": "#/components/responses/ProxyError"},
          "403": {"$ref": "#/components/responses/Offsets"}, "404": {"$ref": "#/components/responses/ProxyError"},
          "406": {"$ref": "#/components/responses/ProxyError"}, "413": {"$ref": "#/components/responses/ProxyError"},
          "415": {"$ref": "#/components/responses/ProxyError"}, "422": {"$ref": "#/components/responses/ProxyError"},
          "429": {"$ref": "#/components/responses/ProxyLater"}, "500": {"$ref": "#/components/responses/Offsets"},
          "503": {"$ref": "#/components/responses/ProxyUnwritten"}}}},
    "/topics/{topic}/partitions": {"get": {"operationId": "partitions", "tags": ["REST Proxy v2"], "summary": "A topic's partitions",
        "parameters": [{"$ref": "#/components/parameters/topic"}],
        "responses": {"200": {"description": "OK", "content": {"application/vnd.kafka.v2+json": {"schema":
              {"type": "array", "items": {"$ref": "#/components/schemas/Partition"}}}}},
          "401": {"$ref": "#/components/responses/ProxyError"}, "404": {"$ref": "#/components/responses/ProxyError"},
          "406": {"$ref": "#/components/responses/ProxyError"}, "503": {"$ref": "#/components/responses/ProxyLater"}}}},
    "/topics/{topic}/partitions/{partition}": {"get": {"operationId": "partition", "tags": ["REST Proxy v2"],
        "summary": "A partition's leader and replicas",
        "parameters": [{"$ref": "#/components/parameters/topic"}, {"$ref": "#/components/parameters/partition"}],
        "responses": {"200": {"description": "OK", "content": {"application/vnd.kafka.v2+json": {"schema":
              {"$ref": "#/components/schemas/Partition"}}}},
          "401": {"$ref": "#/components/responses/ProxyError"}, "404": {"$ref": "#/components/responses/ProxyError"},
          "406": {"$ref": "#/components/responses/ProxyError"}, "503": {"$ref": "#/components/responses/ProxyLater"}}},
      "post": {"operationId": "produceToPartition", "tags": ["REST Proxy v2"], "summary": "Write records to one partition",
        "parameters": [{"$ref": "#/components/parameters/topic"}, {"$ref": "#/components/parameters/partition"}],
        "requestBody": {"$ref": "#/components/requestBodies/Records"},
        "responses": {"200": {"$ref": "#/components/responses/Offsets"},
          "400": {"$ref": "#/components/responses/ProxyError"}, "401": {"$ref": "#/components/responses/ProxyError"},
          "403": {"$ref": "#/components/responses/Offsets"}, "404": {"$ref": "#/components/responses/ProxyError"},
          "406": {"$ref": "#/components/responses/ProxyError"}, "413": {"$ref": "#/components/responses/ProxyError"},
          "415": {"$ref": "#/components/responses/ProxyError"}, "422": {"$ref": "#/components/responses/ProxyError"},
          "429": {"$ref": "#/components/responses/ProxyLater"}, "500": {"$ref": "#/components/responses/Offsets"},
          "503": {"$ref": "#/components/responses/ProxyUnwritten"}}}}
    """#

  private static let events = ["impressions", "actions", "items"].map { name in
    """
    "/v1/\(name)": {"post": {"operationId": "\(name)", "tags": ["records"], "summary": "Check \(name) and write them",
        "requestBody": {"$ref": "#/components/requestBodies/Events"},
        "responses": {"200": {"$ref": "#/components/responses/Written"},
          "400": {"$ref": "#/components/responses/Error"}, "401": {"$ref": "#/components/responses/Error"},
          "413": {"$ref": "#/components/responses/Error"}, "415": {"$ref": "#/components/responses/Error"},
          "422": {"$ref": "#/components/responses/Invalid"}, "429": {"$ref": "#/components/responses/Later"},
          "500": {"$ref": "#/components/responses/Unwritten"}, "503": {"$ref": "#/components/responses/Unwritten"}}}}
    """
  }.joined(separator: ",\n")
}
