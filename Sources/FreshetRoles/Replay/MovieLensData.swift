/// MovieLens ratings in the order of their file, one array a column; users and movies beside them.
struct MovieLensData {
  struct Movie: Equatable {
    var id: UInt32
    /// As the file has it, year included.
    var title: String
    var year: Int?
    var genres: [String]
  }

  struct User: Equatable {
    var gender: String
    var age: Int
    var occupation: Int
    var zip: String
  }

  var users: [UInt32] = []
  var items: [UInt32] = []
  /// In thousandths of a star: 3.5 stars are 3500.
  var values: [Int32] = []
  /// Unix time in seconds.
  var seconds: [Int64] = []
  var movies: [Movie] = []
  /// Empty where the data set tells nothing about users.
  var profiles: [UInt32: User] = [:]

  var ratingCount: Int { users.count }

  /// The year in a title's last bracket, such as 1995 in `Toy Story (1995)` and 2006 in `… (2006–2007)`.
  static func year(inTitle title: String) -> Int? {
    guard let bracket = title.utf8.lastIndex(of: UInt8(ascii: "(")) else { return nil }
    let digits = title.utf8[title.utf8.index(after: bracket)...].prefix(4)
    guard digits.count == 4, digits.allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
    let year = digits.reduce(0) { $0 * 10 + Int($1 &- 0x30) }
    return (1800...2200).contains(year) ? year : nil
  }

  /// The genres of a `|`-separated list; "(no genres listed)" is none.
  static func genres(inList list: String) -> [String] {
    list == "(no genres listed)" ? [] : list.split(separator: "|").map(String.init)
  }
}
