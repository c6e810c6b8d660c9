import FreshetCore

/// The disk of one server.
final class SimulatedDisk {
  init(world: World, faults: DiskFaults, name: String) {}
  func crash() {}
}
