import FreshetCore

/// Reads a directory of MovieLens data: `ratings.dat`, `movies.dat` and `users.dat` (fields parted by `::`, Latin-1 or
/// UTF-8; ml-1m and ml-10m) or `ratings.csv` and `movies.csv` (ml-latest and its kin).
///
/// A row that cannot be used is handed to `report` with its line; the rows around it are kept.
struct MovieLensReader {
  let directory: String

  /// - Throws: `ReplayError` when a file is missing or has the wrong header, and whatever `report` throws.
  func read(report: BadRowReport) throws -> MovieLensData {
    var data = MovieLensData()
    if FileBytes.exists(directory + "/ratings.dat") {
      try readRatings(from: "ratings.dat", .doubleColon, columns: [0, 1, 2, 3], into: &data, report)
      try readMovies(from: "movies.dat", .doubleColon, into: &data, report)
      if FileBytes.exists(directory + "/users.dat") { try readUsers(into: &data, report) }
    } else if FileBytes.exists(directory + "/ratings.csv") {
      try readRatings(from: "ratings.csv", .comma, columns: nil, into: &data, report)
      try readMovies(from: "movies.csv", .comma, into: &data, report)
    } else {
      throw ReplayError(
        code: "no-movielens-data",
        message: "\(directory) holds neither ratings.dat nor ratings.csv; "
          + "Scripts/get-movielens fetches MovieLens-1M")
    }
    return data
  }

  /// Calls `row` for each line; what it returns is the reason why the line cannot be used.
  private func eachRow(
    _ name: String, _ dialect: FieldCutter.Dialect, header: ((UnsafeRawBufferPointer, FieldCutter) throws -> Void)?,
    _ report: BadRowReport, row: (UnsafeRawBufferPointer, FieldCutter) -> String?
  ) throws {
    let file = try FileBytes(path: directory + "/" + name)
    var lines = LineWalker(file.bytes)
    var cutter = FieldCutter(dialect)
    if let header, let line = lines.next() {
      if let reason = cutter.cut(line) {
        throw ReplayError(code: "bad-header", message: "\(file.path):1: \(reason)")
      }
      try header(line, cutter)
    }
    while let line = lines.next() {
      if let reason = cutter.cut(line) ?? row(line, cutter) {
        try report(BadRow(file: file.path, line: lines.line, reason: reason, bytes: Array(line)))
      }
    }
  }

  private func readRatings(
    from name: String, _ dialect: FieldCutter.Dialect, columns fixed: [Int]?, into data: inout MovieLensData,
    _ report: BadRowReport
  ) throws {
    var columns = fixed ?? []
    var width = 4
    let path = directory + "/" + name
    let header = { (line: UnsafeRawBufferPointer, cutter: FieldCutter) throws in
      columns = try Self.columns(["userId", "movieId", "rating", "timestamp"], in: line, cutter, path: path)
      width = cutter.count
    }
    try eachRow(name, dialect, header: fixed == nil ? header : nil, report) { line, cutter in
      guard cutter.count == width else { return "\(cutter.count) fields, \(width) expected" }
      let user = cutter.bytes(columns[0], of: line)
      let item = cutter.bytes(columns[1], of: line)
      let value = cutter.bytes(columns[2], of: line)
      let seconds = cutter.bytes(columns[3], of: line)
      guard let userID = FieldText.unsigned(user, limit: UInt64(UInt32.max)) else {
        return "user id \(FieldText.excerpt(user)) is not an integer in 0...4294967295"
      }
      guard let itemID = FieldText.unsigned(item, limit: UInt64(UInt32.max)) else {
        return "movie id \(FieldText.excerpt(item)) is not an integer in 0...4294967295"
      }
      guard let thousandths = FieldText.thousandths(value) else {
        return "rating \(FieldText.excerpt(value)) is not a number with at most three decimals"
      }
      // Year 9999: later times are milliseconds that were taken for seconds.
      guard let time = FieldText.unsigned(seconds, limit: 253_402_300_799) else {
        return "timestamp \(FieldText.excerpt(seconds)) is not a Unix time in seconds"
      }
      data.users.append(UInt32(userID))
      data.items.append(UInt32(itemID))
      data.values.append(thousandths)
      data.seconds.append(Int64(time))
      return nil
    }
  }

  private func readMovies(
    from name: String, _ dialect: FieldCutter.Dialect, into data: inout MovieLensData, _ report: BadRowReport
  ) throws {
    var columns = [0, 1, 2]
    var width = 3
    let path = directory + "/" + name
    let header = { (line: UnsafeRawBufferPointer, cutter: FieldCutter) throws in
      columns = try Self.columns(["movieId", "title", "genres"], in: line, cutter, path: path)
      width = cutter.count
    }
    try eachRow(name, dialect, header: dialect == .doubleColon ? nil : header, report) { line, cutter in
      // In the `::` dialect a title may itself hold the separator; the id before it and the genres after it do not.
      guard cutter.count == width || (dialect == .doubleColon && cutter.count > width) else {
        return "\(cutter.count) fields, \(width) expected"
      }
      let id = cutter.bytes(columns[0], of: line)
      guard let number = FieldText.unsigned(id, limit: UInt64(UInt32.max)) else {
        return "movie id \(FieldText.excerpt(id)) is not an integer in 0...4294967295"
      }
      let title: String
      let genres: String
      if dialect == .doubleColon {
        let whole = line[cutter.fields[1].start..<cutter.fields[cutter.count - 2].end]
        title = FieldText.decode(UnsafeRawBufferPointer(rebasing: whole))
        genres = cutter.text(cutter.count - 1, of: line)
      } else {
        title = cutter.text(columns[1], of: line)
        genres = cutter.text(columns[2], of: line)
      }
      guard !title.isEmpty else { return "the title is empty" }
      data.movies.append(
        MovieLensData.Movie(
          id: UInt32(number), title: title, year: MovieLensData.year(inTitle: title),
          genres: MovieLensData.genres(inList: genres)))
      return nil
    }
  }

  private func readUsers(into data: inout MovieLensData, _ report: BadRowReport) throws {
    try eachRow("users.dat", .doubleColon, header: nil, report) { line, cutter in
      guard cutter.count == 5 else { return "\(cutter.count) fields, 5 expected" }
      let id = cutter.bytes(0, of: line)
      guard let number = FieldText.unsigned(id, limit: UInt64(UInt32.max)) else {
        return "user id \(FieldText.excerpt(id)) is not an integer in 0...4294967295"
      }
      guard let age = FieldText.unsigned(cutter.bytes(2, of: line), limit: 200) else {
        return "age \(FieldText.excerpt(cutter.bytes(2, of: line))) is not an integer in 0...200"
      }
      guard let occupation = FieldText.unsigned(cutter.bytes(3, of: line), limit: 1_000_000) else {
        return "occupation \(FieldText.excerpt(cutter.bytes(3, of: line))) is not an integer"
      }
      data.profiles[UInt32(number)] = MovieLensData.User(
        gender: cutter.text(1, of: line), age: Int(age), occupation: Int(occupation), zip: cutter.text(4, of: line))
      return nil
    }
  }

  private static func columns(
    _ names: [String], in line: UnsafeRawBufferPointer, _ cutter: FieldCutter, path: String
  ) throws -> [Int] {
    let found = (0..<cutter.count).map { cutter.text($0, of: line) }
    return try names.map { name in
      guard let column = found.firstIndex(of: name) else {
        throw ReplayError(
          code: "bad-header",
          message: "\(path):1: no column \(name); the header must name \(names.joined(separator: ", "))")
      }
      return column
    }
  }
}
