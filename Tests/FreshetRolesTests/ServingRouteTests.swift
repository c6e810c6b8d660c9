import FreshetHTTP
import Testing

@testable import FreshetRoles

@Suite struct ServingRouteTests {
  @Test(arguments: [
    ("/openapi.json", ServingRoute.openAPI), ("/v2", .serverMetadata), ("/v2/", .serverMetadata),
    ("/v2/health/live", .serverLive), ("/v2/health/ready", .serverReady), ("/v2/models/m", .modelMetadata("m")),
    ("/v2/models/m/", .modelMetadata("m")), ("/v2/models/m/versions/1", .modelMetadata("m")),
    ("/v2/models/m:t/ready", .modelReady("m:t")), ("/v2/models/m/versions/1/ready", .modelReady("m")),
    ("/v2/models/m/infer", .infer("m")), ("/v2/models/m/versions/1/infer", .infer("m")),
    ("/v1/models/m", .modelStatus("m")),
    ("/v1/models/m/versions/1", .modelStatus("m")), ("/v1/models/m:predict", .predict("m")),
    ("/v1/models/m:t:predict", .predict("m:t")), ("/v1/models/m/versions/1:predict", .predict("m")),
    ("/v1/recommend/m", .recommend("m")),
  ])
  func aPathNamesWhatItAsksFor(path: String, route: ServingRoute) throws {
    #expect(try ServingRoute(Self.segments(path), version: 1) == route)
  }

  @Test(arguments: [
    "/", "//", "/v2/models", "/v2/models/", "/v2/x", "/v2/health", "/v2/models/m/versions", "/v2/models/m/versions/2",
    "/v2/models/m/versions/1/x", "/v2/models/m/infer/x", "/v1", "/v1/models", "/v1/models/m/x",
    "/v1/models/m/versions/2:predict",
    "/v1/models/m/labels/1", "/v1/recommend", "/v1/recommend/m/x", "/openapi.json/x", "/v1/models/m/versions/1/x",
  ])
  func otherPathsAreNotFound(path: String) {
    #expect { try ServingRoute(Self.segments(path), version: 1) } throws: { ($0 as? HTTPFailure)?.kind == .notFound }
  }

  private static func segments(_ path: String) -> [String] {
    path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
  }
}
