import FreshetKafka
import Testing

@Suite struct KafkaConfigurationTests {
  @Test func anUnknownPropertyIsNamedInTheError() {
    let configuration = KafkaConfiguration(bootstrapServers: "127.0.0.1:1", properties: ["no.such.thing": "1"])
    let error = #expect(throws: KafkaError.self) { try configuration.validate() }
    #expect(error?.reason == .invalidProperty)
    #expect(error?.message.contains("`no.such.thing`") == true)
  }
}
