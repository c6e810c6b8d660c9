import Foundation

/// The password that requests must show: `Authorization: Bearer PASSWORD`, or `Basic` with the user `default` or none.
public struct HTTPCredentials: Sendable {
  private let password: [UInt8]

  /// nil without a password: nobody is asked.
  public init?(password: String?) {
    guard let password else { return nil }
    self.password = Array(password.utf8)
  }

  /// - Throws: 401 that says how to authenticate.
  public func check(_ request: HTTPRequest) throws(HTTPFailure) {
    guard let header = request.headers["authorization"] else {
      throw HTTPFailure(
        .noAuth,
        "a password is needed: send `Authorization: Bearer PASSWORD`, or Basic with the user `default` "
          + "(curl -u default:PASSWORD)")
    }
    guard let given = Self.password(in: header), equalsInConstantTime(given) else {
      throw HTTPFailure(.noAuth, "wrong user or password; the user is `default`")
    }
  }

  private static func password(in header: String) -> [UInt8]? {
    guard let space = header.firstIndex(of: " ") else { return nil }
    let value = header[space...].drop { $0 == " " }
    switch header[..<space].lowercased() {
    case "bearer": return Array(value.utf8)
    case "basic":
      guard let data = Data(base64Encoded: String(value)) else { return nil }
      let bytes = [UInt8](data)
      guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
      let user = bytes[..<colon]
      guard user.isEmpty || user.elementsEqual("default".utf8) else { return nil }
      return Array(bytes[(colon + 1)...])
    default: return nil
    }
  }

  /// Takes time that depends on the length of `given` only.
  private func equalsInConstantTime(_ given: [UInt8]) -> Bool {
    var difference: UInt8 = given.count == password.count ? 0 : 1
    for index in given.indices {
      difference |= given[index] ^ (password.isEmpty ? 0 : password[index % password.count])
    }
    return difference == 0
  }
}
