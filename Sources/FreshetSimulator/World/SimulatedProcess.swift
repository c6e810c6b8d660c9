import FreshetCore

/// A process of the cluster: it starts, crashes, is paused and resumed. Subclasses are the roles.
class SimulatedProcess {
  let world: World
  let network: Network
  let name: String
  /// Its number in the network.
  let node: Int
  /// Counts starts; what belongs to an earlier life no longer happens.
  private(set) var life = 0
  private(set) var isUp = false
  private(set) var isPaused = false
  /// What happened while it was paused, in order; and whether that is yet to be made up for, so that nothing newer comes before it.
  private var held: [() -> Void] = []
  private var isCatchingUp = false

  init(world: World, network: Network, name: String) {
    self.world = world
    self.network = network
    self.name = name
    node = network.addNode()
  }

  func note(_ kind: StaticString, _ a: Int64 = 0, _ b: Int64 = 0, _ c: Int64 = 0, text: String? = nil) {
    world.note(name, kind, a, b, c, text: text)
  }

  func after(microseconds: Int, _ body: @escaping () -> Void) { world.after(microseconds, for: self, body) }
  func after(milliseconds: Int, _ body: @escaping () -> Void) { world.after(milliseconds * 1000, for: self, body) }

  /// Repeats `body` in this life.
  func every(milliseconds: Int, _ body: @escaping () -> Void) {
    after(milliseconds: milliseconds) { [unowned self] in
      body()
      every(milliseconds: milliseconds, body)
    }
  }

  /// Called by the world.
  func perform(life: Int, _ body: @escaping () -> Void) {
    guard isUp, life == self.life else { return }
    if isPaused || isCatchingUp { held.append(body) } else { body() }
  }

  // MARK: - Life and death

  final func start() {
    guard !isUp else { return }
    life += 1
    isUp = true
    isPaused = false
    note("starts, life {0}", Int64(life))
    didStart()
  }

  /// As with `kill -9`: nothing more happens in this life, and its connections break.
  final func crash() {
    guard isUp else { return }
    note("crashes")
    willEnd()
    isUp = false
    isPaused = false
    isCatchingUp = false
    held = []
    network.processEnded(self)
    didEnd()
  }

  /// SIGSTOP: what would happen waits, and the process does not know of it afterwards.
  final func pause() {
    guard isUp, !isPaused else { return }
    note("is paused")
    isPaused = true
  }

  final func resume() {
    guard isUp, isPaused else { return }
    note("goes on")
    isPaused = false
    isCatchingUp = true
    let life = life
    world.after(0, for: nil) { [self] in catchUp(life: life) }
  }

  private func catchUp(life: Int) {
    guard isUp, life == self.life, !isPaused else { return }
    while !held.isEmpty { held.removeFirst()() }
    isCatchingUp = false
  }

  func didStart() {}
  /// Still up: the last look at its state.
  func willEnd() {}
  func didEnd() {}
}
