import FreshetCore

/// A day of the Gregorian calendar in UTC: what the directories of an archive are named after.
public struct ArchiveDay: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Since 1970-01-01.
  public let days: Int64

  public static let milliseconds: Int64 = 86_400_000

  public init(days: Int64) { self.days = days }

  /// The day of a time; times before 1970 count as its first day.
  public init(of time: UnixTime) { days = max(0, time.milliseconds) / Self.milliseconds }

  /// `YYYY-MM-DD`; nil if it is not that or no such day.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].utf8.count >= 4, parts[1].utf8.count == 2, parts[2].utf8.count == 2,
      let year = Int64(parts[0]), let month = Int64(parts[1]), let day = Int64(parts[2]),
      (1970...9_999_999).contains(year)
    else { return nil }
    days = Self.days(year, month, day)
    // Only one spelling of a day that exists counts.
    guard description == text else { return nil }
  }

  public static func < (a: ArchiveDay, b: ArchiveDay) -> Bool { a.days < b.days }

  public var description: String {
    let (year, month, day) = civil
    return Self.padded(year, 4) + "-" + Self.padded(month, 2) + "-" + Self.padded(day, 2)
  }

  /// Years are counted from March, so that a leap day is the last of its year, in eras of 400 years = 146,097 days.
  private var civil: (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }

  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = shiftedYear / 400
    let yearOfEra = shiftedYear % 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
