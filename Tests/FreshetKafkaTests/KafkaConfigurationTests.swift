import FreshetKafka
import Testing

@Suite struct KafkaConfigurationTests {
  private func error(_ properties: [String: String]) throws -> KafkaError {
    let configuration = KafkaConfiguration(bootstrapServers: "127.0.0.1:1", properties: properties)
    return try #require(throws: KafkaError.self) { try configuration.validate() }
  }

  @Test func anUnknownPropertyIsNamedInTheError() throws {
    let error = try error(["no.such.thing": "1"])
    #expect(error.reason == .invalidProperty)
    #expect(error.message.contains("`no.such.thing`"))
    #expect(error.code == "kafka-invalid-property")
  }

  @Test(arguments: [("linger.ms", "soon"), ("security.protocol", "carrier-pigeon"), ("socket.timeout.ms", "-5")])
  func aBadValueIsReportedWithItsProperty(name: String, value: String) throws {
    let error = try error([name: value])
    #expect(error.reason == .invalidProperty)
    #expect(error.message.contains("`\(name)`"))
  }

  @Test(arguments: ["enable.auto.commit", "group.id", "transactional.id", "bootstrap.servers"])
  func aPropertyThatTheAdapterSetsItselfIsRefused(name: String) throws {
    #expect(try error([name: "x"]).message.contains("`\(name)`"))
  }

  @Test func theCooperativeAssignorIsRefused() throws {
    let error = try error(["partition.assignment.strategy": "cooperative-sticky"])
    #expect(error.message.contains("`partition.assignment.strategy`"))
  }

  @Test func propertiesForSASLAndTLSPass() throws {
    try KafkaConfiguration(
      bootstrapServers: "b-1.msk:9096",
      properties: [
        "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p",
        "ssl.endpoint.identification.algorithm": "https",
      ]
    ).validate()
  }

  @Test func aCertificateThatCannotBeReadFailsTheClientWithAMessage() throws {
    let configuration = KafkaConfiguration(
      bootstrapServers: "127.0.0.1:1",
      properties: ["security.protocol": "SSL", "ssl.ca.location": "/no/such/file.pem"])
    let error = try #require(throws: KafkaError.self) { _ = try KafkaProducer(configuration) }
    #expect(error.reason == .clientCreation)
    #expect(error.message.contains("/no/such/file.pem") || error.message.contains("ssl.ca.location"))
  }
}
