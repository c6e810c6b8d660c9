import Testing

@testable import FreshetS3

@Suite struct S3ConfigurationTests {
  func configuration(_ url: String, endpoint: String, usesPathStyle: Bool) throws -> S3Configuration {
    S3Configuration(
      location: try #require(S3Location(url)), endpoint: try #require(S3Endpoint(endpoint)), region: "eu-west-1",
      credentials: S3Credentials(accessKeyID: "a", secretAccessKey: "b", sessionToken: nil),
      usesPathStyle: usesPathStyle)
  }

  @Test(arguments: [
    ("s3://bucket", "bucket", ""), ("s3://bucket/", "bucket", ""), ("s3://my.bucket-1/a", "my.bucket-1", "a/"),
    ("s3://bucket/a/b.c/", "bucket", "a/b.c/"),
  ])
  func aLocationIsBucketAndPrefix(url: String, bucket: String, prefix: String) {
    #expect(S3Location(url)?.bucket == bucket)
    #expect(S3Location(url)?.prefix == prefix)
  }

  @Test(arguments: [
    "", "bucket", "s3:/bucket", "s3://", "s3://ab", "s3://Bucket", "s3://b_cket", "s3://bucket/a b", "s3://bucket//a",
    "s3://bucket/../a", "s3://.bucket",
  ])
  func whatIsNoLocationIsRefused(url: String) { #expect(S3Location(url) == nil) }

  @Test(arguments: [
    ("https://s3.example.com", true, "s3.example.com"), ("http://127.0.0.1:5000/", false, "127.0.0.1:5000"),
    ("https://host:443", true, "host"), ("http://host:80", false, "host"), ("http://host:443", false, "host:443"),
  ])
  func anEndpointIsSchemeAndAuthority(url: String, isSecure: Bool, authority: String) {
    #expect(S3Endpoint(url)?.isSecure == isSecure)
    #expect(S3Endpoint(url)?.authority == authority)
  }

  @Test(arguments: ["", "host", "ftp://host", "https://", "https://host/path", "https://user@host", "https://ho st"])
  func whatIsNoEndpointIsRefused(url: String) { #expect(S3Endpoint(url) == nil) }

  @Test func theBucketIsInThePathOrInTheHost() throws {
    let path = try configuration("s3://bucket/p", endpoint: "http://h:1", usesPathStyle: true)
    #expect(path.host == "h:1")
    #expect(path.path(key: "a/b") == "/bucket/p/a/b")
    #expect(path.path(key: nil) == "/bucket")
    let host = try configuration("s3://bucket", endpoint: "http://h:1", usesPathStyle: false)
    #expect(host.host == "bucket.h:1")
    #expect(host.path(key: "a/b") == "/a/b")
    #expect(host.path(key: nil) == "/")
    #expect(S3Endpoint(region: "eu-west-1").description == "https://s3.eu-west-1.amazonaws.com")
  }
}
