import CIntrinsics
import Dispatch
import Glibc
import Synchronization

/// Huge pages that were touched ahead of need, for all tables of the process.
///
/// The kernel zeroes a huge page when it is first touched: 0.2 ms, and some 4 ms on a virtual machine whose host has not
/// backed the memory yet. A queue in the background takes that time, so that no update has to. Where it does not keep up,
/// tables use small pages and exchange them later (`PageMemory.exchangeSmallPages`).
final class HugePageReserve: Sendable {
  static let shared = HugePageReserve()
  /// Pages kept ready, once a table has asked for the first one.
  private static let target = 4

  /// A page with its guards: untouchable addresses around it that keep the kernel from joining it with its neighbours, so
  /// that taking one page never waits for the one that is being touched.
  private struct Page {
    let region: UInt
    let page: UInt
  }

  private struct State {
    var ready: [Page] = []
    var isFilling = false
  }

  private let state = Mutex(State())
  private let queue = DispatchQueue(label: "freshet.huge-pages", qos: .utility)
  /// Whether the kernel offers huge pages on request.
  let isAvailable: Bool

  private init() { isAvailable = Self.kernelOffersHugePages() }

  /// Puts a zeroed huge page in place of what is mapped at `target`, a multiple of 2 MiB.
  /// - Parameter prepare: Called with the page before; what it writes there is what `target` holds afterwards.
  /// - Returns: Whether there was a page at hand. Never waits for one.
  func replacePage(at target: UnsafeMutableRawPointer, prepare: (UnsafeMutableRawPointer) -> Void) -> Bool {
    guard isAvailable else { return false }
    let (page, needsFilling) = state.withLock { state -> (Page?, Bool) in
      let page = state.ready.popLast()
      let needsFilling = state.ready.count < Self.target && !state.isFilling
      if needsFilling { state.isFilling = true }
      return (page, needsFilling)
    }
    if needsFilling { queue.async { self.fill() } }
    guard let page, let start = UnsafeMutableRawPointer(bitPattern: page.page) else { return false }
    prepare(start)
    let isMoved = fi_move_pages(start, target, PageMemory.hugePageBytes) == 0
    // Refused where a process may have no more mappings: the small pages stay.
    if !isMoved { munmap(start, PageMemory.hugePageBytes) }
    Self.removeGuards(of: page)
    return isMoved
  }

  /// Touches pages now, beyond those that are kept ready anyway: for a bulk load that is about to come.
  func add(pages: Int) {
    guard isAvailable else { return }
    for _ in 0..<pages {
      guard let page = Self.touchPage() else { return }
      state.withLock { $0.ready.append(page) }
    }
  }

  /// Gives the pages back that nobody took.
  func removeAll() {
    let ready = state.withLock { state in
      defer { state.ready = [] }
      return state.ready
    }
    for page in ready {
      munmap(UnsafeMutableRawPointer(bitPattern: page.page), PageMemory.hugePageBytes)
      Self.removeGuards(of: page)
    }
  }

  private func fill() {
    while true {
      let isDone = state.withLock { state in
        if state.ready.count >= Self.target { state.isFilling = false }
        return !state.isFilling
      }
      if isDone { return }
      guard let page = Self.touchPage() else {
        // The system has no memory to give: the next request asks again.
        state.withLock { $0.isFilling = false }
        return
      }
      state.withLock { $0.ready.append(page) }
    }
  }

  /// Before a page lies a small one of the same mapping, and around both what may not be touched.
  private static let smallBytes = 4096
  private static let regionBytes = 2 * PageMemory.hugePageBytes + 2 * smallBytes

  private static func touchPage() -> Page? {
    let huge = PageMemory.hugePageBytes
    let region = mmap(nil, regionBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let region, region != MAP_FAILED else { return nil }
    let page = region + smallBytes + (-Int(bitPattern: region + smallBytes) & (huge - 1))
    guard mprotect(page - smallBytes, huge + smallBytes, PROT_READ | PROT_WRITE) == 0 else {
      munmap(region, regionBytes)
      return nil
    }
    madvise(page - smallBytes, huge + smallBytes, MADV_HUGEPAGE)
    // The first fault of a mapping sets it up under a lock of the whole process, which must not be held for long; the second
    // one, which takes the time, needs a lock of this mapping only.
    (page - smallBytes).storeBytes(of: 0, as: UInt8.self)
    page.storeBytes(of: 0, as: UInt8.self)
    return Page(region: UInt(bitPattern: region), page: UInt(bitPattern: page))
  }

  private static func removeGuards(of page: Page) {
    munmap(UnsafeMutableRawPointer(bitPattern: page.region), Int(page.page - page.region))
    let after = page.page + UInt(PageMemory.hugePageBytes)
    let end = page.region + UInt(regionBytes)
    if end > after { munmap(UnsafeMutableRawPointer(bitPattern: after), Int(end - after)) }
  }

  private static func kernelOffersHugePages() -> Bool {
    guard let file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r") else { return false }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, Int32(line.count), file) != nil else { return false }
    return strstr(line, "[never]") == nil
  }
}
