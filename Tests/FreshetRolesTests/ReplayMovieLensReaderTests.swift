import Testing

@testable import FreshetRoles

@Suite struct ReplayMovieLensReaderTests {
  @Test func readsTheDoubleColonFormatWithLatin1Titles() throws {
    let movies =
      Array("1::Toy Story (1995)::Animation|Children's\n2::Les Mis".utf8) + [0xe9]
      + Array("rables (1995)::Drama\n".utf8)
    let scratch = try ScratchDirectory([
      "ratings.dat": Array("1::1193::5::978300760\n2::661::3.5::978302109\n".utf8),
      "movies.dat": movies,
      "users.dat": Array("1::F::1::10::48067\n2::M::56::16::02460\n".utf8),
    ])
    let (data, bad) = try collect { try MovieLensReader(directory: scratch.path).read(report: $0) }
    #expect(bad.isEmpty)
    #expect(data.users == [1, 2])
    #expect(data.items == [1193, 661])
    #expect(data.values == [5000, 3500])
    #expect(data.seconds == [978_300_760, 978_302_109])
    #expect(data.movies[0].genres == ["Animation", "Children's"])
    #expect(data.movies[1].title == "Les Misérables (1995)")
    #expect(data.profiles[2] == MovieLensData.User(gender: "M", age: 56, occupation: 16, zip: "02460"))
  }

  @Test func keepsTheSeparatorInsideATitle() throws {
    let scratch = try ScratchDirectory(texts: ["ratings.dat": "1::1::1::1\n", "movies.dat": "7::A::B (2001)::Drama\n"])
    let data = try MovieLensReader(directory: scratch.path).read { _ in }
    #expect(data.movies == [MovieLensData.Movie(id: 7, title: "A::B (2001)", year: 2001, genres: ["Drama"])])
  }

  @Test func readsUTF8TitlesOfTheDoubleColonFormatAsUTF8() throws {
    let scratch = try ScratchDirectory(texts: [
      "ratings.dat": "1::1::1::1\n", "movies.dat": "7::Amélie (2001)::Drama\n",
    ])
    let data = try MovieLensReader(directory: scratch.path).read { _ in }
    #expect(data.movies[0].title == "Amélie (2001)")
  }

  @Test func readsTheCSVFormatWithQuotesByteOrderMarkAndCarriageReturns() throws {
    let scratch = try ScratchDirectory(texts: [
      "ratings.csv": "\u{feff}userId,movieId,rating,timestamp\r\n1,11,4.0,964982703\r\n\"2\",\"40\",\"0.5\",\"5\"\r\n",
      "movies.csv": """
      movieId,title,genres
      11,"American President, The (1995)",Comedy|Drama
      12,"The ""Burbs (1989)",(no genres listed)
      13,No Year,Drama
      """,
    ])
    let (data, bad) = try collect { try MovieLensReader(directory: scratch.path).read(report: $0) }
    #expect(bad.isEmpty)
    #expect(data.users == [1, 2])
    #expect(data.values == [4000, 500])
    #expect(
      data.movies == [
        MovieLensData.Movie(id: 11, title: "American President, The (1995)", year: 1995, genres: ["Comedy", "Drama"]),
        MovieLensData.Movie(id: 12, title: "The \"Burbs (1989)", year: 1989, genres: []),
        MovieLensData.Movie(id: 13, title: "No Year", year: nil, genres: ["Drama"]),
      ])
  }

  @Test func findsCSVColumnsByName() throws {
    let scratch = try ScratchDirectory(texts: [
      "ratings.csv": "timestamp,extra,rating,userId,movieId\n9,x,2,3,4\n", "movies.csv": "title,movieId,genres\nT,4,\n",
    ])
    let data = try MovieLensReader(directory: scratch.path).read { _ in }
    #expect(data.users == [3] && data.items == [4] && data.values == [2000] && data.seconds == [9])
    #expect(data.movies == [MovieLensData.Movie(id: 4, title: "T", year: nil, genres: [])])
  }

  @Test(arguments: [
    ("1,2,3", "3 fields"), ("1,2,3,4,5", "5 fields"), ("x,2,3,4", "user id"), ("-1,2,3,4", "user id"),
    ("4294967296,2,3,4", "user id"), (",2,3,4", "user id"), ("1,2.5,3,4", "movie id"), ("1,2,good,4", "rating"),
    ("1,2,.,4", "rating"), ("1,2,3.,4", "rating"), ("1,2,1e3,4", "rating"), ("1,2,3.1234,4", "rating"),
    ("1,2,3,964982703000", "timestamp"), ("1,2,3,-4", "timestamp"), ("1,2,3,99999999999999999999", "timestamp"),
    ("\"1,2,3,4", "does not close"), ("\"1\"2,2,3,4", "closing quote"),
  ])
  func reportsABadRatingWithItsLineAndKeepsTheOthers(_ row: String, _ reason: String) throws {
    let scratch = try ScratchDirectory(texts: [
      "ratings.csv": "userId,movieId,rating,timestamp\n1,2,3,4\n\n\(row)\n5,6,-0.5,8",
      "movies.csv": "movieId,title,genres\n",
    ])
    let (data, bad) = try collect { try MovieLensReader(directory: scratch.path).read(report: $0) }
    #expect(data.users == [1, 5] && data.values == [3000, -500])
    try #require(bad.count == 1)
    #expect(bad[0].location == "\(scratch.path)/ratings.csv:4")
    #expect(bad[0].reason.contains(reason), "\(bad[0].reason)")
    #expect(bad[0].bytes == Array(row.utf8))
  }

  @Test func reportsBadMoviesAndUsers() throws {
    let scratch = try ScratchDirectory(texts: [
      "ratings.dat": "1::1::1::1\n", "movies.dat": "1::A\nx::B::C\n2::::D\n3::T::G\n",
      "users.dat": "1::F::1::10\nu::F::1::10::1\n2::F::old::10::1\n3::F::1::-::1\n4::F::1::10::1\n",
    ])
    let (data, bad) = try collect { try MovieLensReader(directory: scratch.path).read(report: $0) }
    #expect(data.movies.map(\.id) == [3])
    #expect(Array(data.profiles.keys) == [4])
    #expect(bad.map(\.line) == [1, 2, 3, 1, 2, 3, 4])
  }

  @Test func stopsAtTheFirstBadRowWhenTheReportThrows() throws {
    let scratch = try ScratchDirectory(texts: ["ratings.dat": "x\ny\n", "movies.dat": ""])
    var seen = 0
    #expect(throws: ReplayError.self) {
      try MovieLensReader(directory: scratch.path).read { _ in
        seen += 1
        throw ReplayError(code: "stop", message: "stop")
      }
    }
    #expect(seen == 1)
  }

  @Test func saysWhatIsMissing() throws {
    let empty = try ScratchDirectory(texts: [:])
    let noMovies = try ScratchDirectory(texts: ["ratings.dat": "1::1::1::1\n"])
    let noColumn = try ScratchDirectory(texts: ["ratings.csv": "user,movie\n", "movies.csv": "movieId,title,genres\n"])
    for (directory, word) in [(empty, "ratings.dat"), (noMovies, "movies.dat"), (noColumn, "userId")] {
      let error = #expect(throws: ReplayError.self) { try MovieLensReader(directory: directory.path).read { _ in } }
      #expect(error?.message.contains(word) == true)
    }
  }

  @Test(arguments: [
    ("Toy Story (1995)", 1995), ("Heroes (2006–2007)", 2006), ("M (1931) (Sound)", nil),
    ("Seven (a.k.a. Se7en) (1995)", 1995),
    ("1984", nil), ("X (19", nil), ("(2001", 2001), ("Y (0001)", nil), ("Trailing (1999) ", 1999),
  ])
  func takesTheYearFromTheLastBracket(_ title: String, _ year: Int?) {
    #expect(MovieLensData.year(inTitle: title) == year)
  }
}
