import FreshetCore
import Testing

@testable import FreshetSimulator

@Suite struct SimulatedProcessTests {
  private let world = World(seed: 1, traceLimit: nil)
  private let process: SimulatedProcess

  init() {
    process = SimulatedProcess(
      world: world, network: Network(world: world, weather: NetworkWeather()), name: "process")
    process.start()
  }

  @Test func whatAProcessMissedWhileItStoodStillComesBeforeWhatIsNewer() {
    var order: [Int] = []
    process.pause()
    for number in 0..<5 { process.after(microseconds: number) { order.append(number) } }
    // Both at the same instant: first it goes on, then something new comes.
    world.after(10, for: nil) { process.resume() }
    process.after(microseconds: 10) { order.append(5) }
    process.after(microseconds: 11) { order.append(6) }
    while world.advance() {}
    #expect(order == Array(0..<7))
  }

  @Test func aProcessThatIsKilledForgetsWhatItMissed() {
    var order: [Int] = []
    process.pause()
    process.after(microseconds: 1) { order.append(1) }
    world.after(2, for: nil) {
      process.resume()
      process.crash()
      process.start()
      process.after(microseconds: 0) { order.append(2) }
    }
    while world.advance() {}
    #expect(order == [2])
  }
}
