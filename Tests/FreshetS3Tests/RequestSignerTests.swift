import Testing

@testable import FreshetS3

/// The examples that AWS publishes with all intermediate values.
///
/// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
@Suite struct RequestSignerTests {
  static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  static let host = (name: "Host", value: "examplebucket.s3.amazonaws.com")

  struct Example: Sendable, CustomTestStringConvertible {
    var name: String
    var method = "GET"
    var path = "/"
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var hash = RequestSignerTests.empty
    var signedHeaders: String
    var signature: String

    var testDescription: String { name }
  }

  static let examples = [
    Example(
      name: "GET object", path: "/test.txt", headers: [("Range", "bytes=0-9")],
      signedHeaders: "host;range;x-amz-content-sha256;x-amz-date",
      signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    Example(
      name: "PUT object", method: "PUT", path: "/" + PercentEncoding.encode("test$file.text", keepsSlashes: true),
      headers: [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
      hash: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      signedHeaders: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
      signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    Example(
      name: "GET bucket lifecycle", query: [("lifecycle", "")], signedHeaders: "host;x-amz-content-sha256;x-amz-date",
      signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    Example(
      name: "GET bucket", query: [("prefix", "J"), ("max-keys", "2")],
      signedHeaders: "host;x-amz-content-sha256;x-amz-date",
      signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
  ]

  func signed(_ example: Example, sessionToken: String? = nil) -> [String: String] {
    let signer = RequestSigner(
      credentials: S3Credentials(
        accessKeyID: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        sessionToken: sessionToken), region: "us-east-1")
    let headers = signer.sign(
      RequestSigner.Request(
        method: example.method, path: example.path, query: example.query, headers: example.headers + [Self.host],
        payloadHash: example.hash),
      at: SigningTime(secondsSince1970: 1_369_353_600))
    return Dictionary(uniqueKeysWithValues: headers.map { ($0.name, $0.value) })
  }

  @Test(arguments: examples)
  func signaturesAreThoseThatAWSPublishes(example: Example) {
    #expect(
      signed(example)["authorization"]
        == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        + "SignedHeaders=\(example.signedHeaders),Signature=\(example.signature)")
  }

  @Test func aSessionTokenIsSentAndSigned() throws {
    let plain = signed(Self.examples[0])
    let headers = signed(Self.examples[0], sessionToken: "token")
    #expect(headers["x-amz-security-token"] == "token")
    let authorization = try #require(headers["authorization"])
    #expect(authorization.contains(";x-amz-date;x-amz-security-token,"))
    #expect(authorization.suffix(64) != plain["authorization"]?.suffix(64))
  }

  @Test func blanksInHeadersDoNotChangeTheSignature() {
    var example = Self.examples[1]
    example.headers[0].value = "  Fri, 24  May 2013 00:00:00   GMT "
    #expect(signed(example)["authorization"]?.hasSuffix(example.signature) == true)
  }

  @Test(arguments: [
    (0, "19700101T000000Z"), (951_782_399, "20000228T235959Z"), (951_782_400, "20000229T000000Z"),
    (1_795_263_005, "20261121T121005Z"),
  ])
  func timesAreInUTC(seconds: Int, stamp: String) {
    #expect(SigningTime(secondsSince1970: seconds).stamp == stamp)
  }

  @Test func everythingButUnreservedCharactersIsEncoded() {
    #expect(PercentEncoding.encode("aZ09-._~", keepsSlashes: false) == "aZ09-._~")
    #expect(PercentEncoding.encode("a/b c+d=é\u{7f}", keepsSlashes: true) == "a/b%20c%2Bd%3D%C3%A9%7F")
    #expect(PercentEncoding.encode("a/b", keepsSlashes: false) == "a%2Fb")
    #expect(PercentEncoding.query([("b", "2"), ("a-", "&"), ("a", "/")]) == "a=%2F&a-=%26&b=2")
  }
}
