import Foundation
import FreshetWire
import NIOCore
import Testing

@testable import FreshetNet

/// The real redis-cli and redis-benchmark (Debian package redis-tools) against the server.
@Suite struct RedisToolsTests {
  /// Runs a program to its end; standard output and error together.
  private func run(_ program: String, _ arguments: [String], input: String = "") async throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let (stdin, stdout) = (Pipe(), Pipe())
    process.standardInput = stdin
    process.standardOutput = stdout
    process.standardError = stdout
    try process.run()
    return await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        stdin.fileHandleForWriting.write(Data(input.utf8))
        try? stdin.fileHandleForWriting.close()
        let output = stdout.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        continuation.resume(returning: String(decoding: output, as: UTF8.self))
      }
    }
  }

  private func cli(_ server: RESPServer, _ arguments: String..., input: String = "") async throws -> String {
    try await run("redis-cli", ["-p", String(server.port)] + arguments, input: input)
  }

  @Test func redisCliSpeaksBothVersions() async throws {
    try await withServer { (server, _) async throws in
      #expect(try await cli(server, "PING") == "PONG\n")
      #expect(try await cli(server, "FOO", "bar") == "ERR unknown command 'FOO'; COMMAND LIST names the known ones\n\n")
      #expect(try await cli(server, "--no-raw", "DOUBLE", "21") == "(integer) 42\n")
      #expect(try await cli(server, "--no-raw", "HALF") == "\"0.5\"\n")
      #expect(try await cli(server, "-3", "--no-raw", "HALF") == "(double) 0.5\n")
      #expect(try await cli(server, "-3", "--json", "CONFIG", "GET", "sync*") == "{\"sync-interval\":\"500\"}\n")
      #expect(try await cli(server, input: "PING\nDOUBLE 4\n") == "PONG\n8\n")
    }
  }

  @Test func redisCliAuthenticates() async throws {
    try await withServer(password: "secret") { (server, _) async throws in
      #expect(try await cli(server, "PING").hasPrefix("NOAUTH Authentication required"))
      #expect(try await cli(server, "--no-auth-warning", "-a", "secret", "PING") == "PONG\n")
      #expect(try await cli(server, "-3", "--no-auth-warning", "-a", "secret", "--user", "default", "PING") == "PONG\n")
      #expect(try await cli(server, "--no-auth-warning", "-a", "wrong", "PING").contains("WRONGPASS"))
    }
  }

  @Test func redisCliPipeModeGetsAllReplies() async throws {
    try await withServer { (server, _) async throws in
      let input = String(repeating: "*2\r\n$6\r\nDOUBLE\r\n$1\r\n4\r\n", count: 20_000) + "NOSUCH\r\n"
      let output = try await cli(server, "--pipe", input: input)
      #expect(output.contains("errors: 1, replies: 20001"), "\(output)")
    }
  }

  @Test func redisBenchmarkFindsTheSettingsThatItAsksFor() async throws {
    try await withServer { (server, _) async throws in
      let output = try await run(
        "redis-benchmark", ["-p", String(server.port), "-n", "2000", "-c", "10", "-P", "4", "--csv", "DOUBLE", "2"])
      #expect(output.contains("\"DOUBLE 2\",") && !output.contains("WARNING"), "\(output)")
      #expect(server.statistics.commands.first { $0.name == "double" }?.count == 2000)
    }
  }
}
