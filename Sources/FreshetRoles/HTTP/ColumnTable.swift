import FreshetHTTP
import FreshetModel
import NIOCore

/// Columns of values, one for each field, turned into the candidates that SCOREJSON takes. A column of one value holds for all
/// rows.
struct ColumnTable {
  private var columns: [(name: String, values: [JSONValue])] = []
  private(set) var rowCount: Int?

  /// - Parameter what: The column in words, for messages.
  mutating func add(_ name: String, _ values: [JSONValue], _ what: String) throws(HTTPFailure) {
    guard !columns.contains(where: { $0.name == name }) else {
      throw HTTPFailure(.badRequest, "\(what) is there twice")
    }
    switch rowCount {
    case nil, 1: rowCount = values.count
    case let count? where values.count != 1 && values.count != count:
      throw HTTPFailure(
        .badRequest,
        "\(what) has \(values.count) values and an earlier one \(count); all have as many, or one for all rows")
    default: break
    }
    columns.append((name, values))
  }

  /// `{"context":{…},"candidates":[{…},…]}`
  var json: ByteBuffer {
    let count = rowCount ?? 0
    let isShared = columns.map { $0.values.count == 1 && count > 1 }
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("context")
    writer.beginObject()
    for (column, isShared) in zip(columns, isShared) where isShared {
      writer.key(column.name)
      writer.write(column.values[0])
    }
    writer.endObject()
    writer.key("candidates")
    writer.beginArray()
    for row in 0..<count {
      writer.beginObject()
      for (column, isShared) in zip(columns, isShared) where !isShared {
        writer.key(column.name)
        writer.write(column.values[row])
      }
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return writer.buffer
  }
}
