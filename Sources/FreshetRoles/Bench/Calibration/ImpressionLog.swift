import FreshetCore

/// MovieLens as implicit feedback: each rating is an impression, and those from some number of stars on were acted on.
///
/// With it may go impressions, not acted on, of movies that the user never rates. They are drawn from the ratings of others around it: what
/// is shown is what is asked for at the time. All of a rating's impressions happen in the same minute. Same data, same
/// seed: the same log.
struct ImpressionLog {
  struct Impression {
    var timeMs: Int64
    var user: UInt32
    var item: UInt32
    /// When it was acted on; nil if it was not.
    var actionTimeMs: Int64?
  }

  /// In the order of their times.
  private(set) var impressions: [Impression] = []
  let movies: [MovieLensData.Movie]
  let profiles: [UInt32: MovieLensData.User]

  /// Ratings before and after, in the order of time, that movies are drawn from.
  private static let neighbours = 10_000

  /// - Parameters:
  ///   - stars: Ratings from here on were acted on.
  ///   - unrated: Impressions of other movies for each rating.
  init(_ data: consuming MovieLensData, actedOnFrom stars: Int, unrated: Int, seed: UInt64) {
    movies = data.movies
    profiles = data.profiles
    var rated: [UInt32: Set<UInt32>] = [:]
    for row in 0..<data.ratingCount { rated[data.users[row], default: []].insert(data.items[row]) }
    let byTime = RadixSort.ascendingIndices(of: data.seconds.map { UInt64($0) })
    var generator = SeededGenerator(seed: seed)
    var all: [Impression] = []
    all.reserveCapacity(data.ratingCount * (unrated + 1))
    for (place, row) in byTime.enumerated() {
      let (user, base) = (data.users[Int(row)], data.seconds[Int(row)] * 1000)
      let shown = base + Int64(generator.next() % 60_000)
      all.append(
        Impression(
          timeMs: shown, user: user, item: data.items[Int(row)],
          actionTimeMs: data.values[Int(row)] >= Int32(stars) * 1000 ? shown + Int64(generator.next() % 60_000) : nil))
      let first = max(0, place - Self.neighbours)
      let count = UInt64(min(byTime.count, place + Self.neighbours + 1) - first)
      var made = 0
      // Who has rated nearly everything gets fewer.
      for _ in 0..<unrated * 100 where made < unrated {
        let item = data.items[Int(byTime[first + Int(generator.next() % count)])]
        guard !rated[user]!.contains(item) else { continue }
        all.append(
          Impression(timeMs: base + Int64(generator.next() % 60_000), user: user, item: item, actionTimeMs: nil))
        made += 1
      }
    }
    let order = RadixSort.ascendingIndices(of: all.map { UInt64($0.timeMs) })
    impressions = order.map { all[Int($0)] }
  }
}
