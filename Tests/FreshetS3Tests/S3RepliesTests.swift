import FreshetCore
import Testing

@testable import FreshetS3

@Suite struct S3RepliesTests {
  static let page = """
    <?xml version="1.0" encoding="UTF-8"?>
    <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <Name>bucket</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>
      <IsTruncated>true</IsTruncated><NextContinuationToken>1ueGcxLP&amp;RTX/1+=</NextContinuationToken>
      <Contents><Key>p/a&amp;b</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;fba9&quot;</ETag>
        <Size>434234</Size><StorageClass>STANDARD</StorageClass><Owner><ID>1</ID></Owner></Contents>
      <Contents><Key>p/c</Key><Size>0</Size></Contents>
      <CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes>
    </ListBucketResult>
    """

  func list(_ text: String) -> S3ListPage? { XMLTree(parsing: text.utf8).flatMap { S3ListPage($0) } }

  @Test func aPageOfAListHasKeysSizesAndTheNextToken() throws {
    let page = try #require(list(Self.page))
    #expect(page.keys == [StoredFile(name: "p/a&b", sizeBytes: 434_234), StoredFile(name: "p/c", sizeBytes: 0)])
    #expect(page.nextToken == "1ueGcxLP&RTX/1+=")
    let last = list(Self.page.replacing("<IsTruncated>true", with: "<IsTruncated>false"))
    #expect(last?.nextToken == nil && last?.keys.count == 2)
  }

  @Test(arguments: [
    ("<Size>0</Size>", ""), ("<Size>0</Size>", "<Size>-1</Size>"), ("<Key>p/c</Key>", ""),
    ("<NextContinuationToken>1ueGcxLP&amp;RTX/1+=</NextContinuationToken>", ""),
    ("<IsTruncated>true", "<IsTruncated>maybe"), ("ListBucketResult", "Other"), ("</Contents>", ""),
  ])
  func aPageThatLacksSomethingIsNone(part: String, replacement: String) {
    #expect(list(Self.page.replacing(part, with: replacement)) == nil)
  }

  @Test func noCutOfAPageIsTakenForAPage() {
    let bytes = Array(Self.page.utf8)
    for count in 0..<bytes.count { #expect(XMLTree(parsing: bytes[..<count]) == nil, "\(count) bytes") }
  }

  @Test func elementsNestOnlySoDeep() {
    func nested(_ depth: Int) -> String {
      String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
    }
    #expect(XMLTree(parsing: nested(16).utf8) != nil)
    #expect(XMLTree(parsing: nested(17).utf8) == nil)
  }

  @Test func anErrorNamesStatusCodeAndWhatToDo() {
    let failure = S3Failure(
      status: 404,
      body: "<Error><Code>NoSuchBucket</Code><Message>No bucket.</Message><BucketName>b</BucketName></Error>".utf8)
    let error = failure.error("put s3://b/k", attempts: 1)
    #expect(error.kind == .failed)
    #expect(
      error.message
        == "put s3://b/k: HTTP 404 NoSuchBucket: No bucket.; create the bucket, or correct snapshot.store")
    #expect(!failure.isPassing)
  }

  @Test(arguments: [
    (404, "NoSuchKey", FileStoreError.Kind.notFound, false), (404, "", .notFound, false), (507, "", .noSpace, false),
    (403, "QuotaExceeded", .noSpace, false), (403, "AccessDenied", .failed, false),
    (412, "PreconditionFailed", .failed, false),
    (500, "InternalError", .failed, true), (503, "SlowDown", .failed, true), (429, "", .failed, true),
    (400, "RequestTimeout", .failed, true), (400, "InvalidPart", .failed, false), (200, "InternalError", .failed, true),
  ])
  func statusAndCodeTellWhatKindItIsAndWhetherItMayPass(
    status: Int, code: String, kind: FileStoreError.Kind, isPassing: Bool
  ) {
    let failure = S3Failure(status: status, body: code.isEmpty ? "".utf8 : "<Error><Code>\(code)</Code></Error>".utf8)
    #expect(failure.error("get", attempts: 1).kind == kind)
    #expect(failure.isPassing == isPassing)
  }

  @Test func aReplyThatIsNoXMLKeepsItsStatus() {
    let failure = S3Failure(status: 502, body: "<html><body>Bad Gateway</body>".utf8)
    #expect(failure.code.isEmpty)
    #expect(failure.error("get s3://b/k", attempts: 3).message == "get s3://b/k: HTTP 502 (3 attempts)")
  }
}
