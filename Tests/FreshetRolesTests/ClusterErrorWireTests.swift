import FreshetCluster
import FreshetCore
import FreshetWire
import Testing

@testable import FreshetRoles

@Suite struct ClusterErrorWireTests {
  private let servers = [ServerAddress("a:7100")!, ServerAddress("b:7101")!]

  @Test(arguments: [ClusterError.Code.fenced, .watermark, .mismatch, .loading])
  func theOtherSideGetsTheSameKindBack(kind: ClusterError.Code) {
    let wire = WireError(ClusterError(kind, "why"), servers: servers)
    #expect(wire.code == kind.rawValue.uppercased() && wire.message == "why")
    #expect(ClusterError(wire).kind == kind)
  }

  @Test func whatPassesByItselfIsTriedAgain() {
    #expect(ClusterError(WireError(.busy, "full")).kind == .loading)
    #expect(ClusterError(WireError(.connection, "gone")).kind == .refused)
    #expect(ClusterError(WireError(.noAuth, "password")).kind == .mismatch, "and what does not is not")
  }

  @Test func aMovedShardIsNamedWithItsAddress() {
    let moved = ClusterError(moved: ClusterError.Redirection(shard: ShardID(5), server: ServerID(1)))
    let wire = WireError(moved, servers: servers)
    #expect(wire == WireError(.moved, "5 b:7101"))
    #expect(ClusterError(wire).kind == .moved)
    #expect(WireError(moved, servers: []).kind == .err, "nobody can follow to nowhere")
  }
}
