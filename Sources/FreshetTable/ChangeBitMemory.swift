/// The memory of the bits that slabs keep for their rows.
///
/// They lie together, apart from the rows. An update of a random row sets a bit of a random slab; at the head of each slab, all
/// bits of a table would fall into the same few sets of the caches and of the address translation, which costs an update of
/// a table of 300 slabs a quarter of its time.
struct ChangeBitMemory: ~Copyable {
  private final class Page {
    var memory: PageMemory
    init(_ memory: consuming PageMemory) { self.memory = memory }
  }

  /// Bits of one slab, all lanes, in bytes.
  private let slabBytes: Int
  private let slabsPerPage: Int
  /// The first one is the first slab's own, in small pages; the others are huge and hold the bits of many slabs.
  private var pages: [Page] = []

  init(slabBytes: Int) {
    self.slabBytes = slabBytes
    slabsPerPage = max(1, PageMemory.hugePageBytes / max(1, slabBytes))
  }

  /// - Parameter slab: One more than the last one that was added.
  /// - Returns: Zeroed memory that stays where it is until the slab is removed.
  mutating func add(slab: Int) -> UnsafeMutableRawPointer {
    let page = slab == 0 ? 0 : 1 + (slab - 1) / slabsPerPage
    if page == pages.count {
      pages.append(
        Page(
          slab == 0
            ? PageMemory(sizeBytes: slabBytes, hugeFrom: nil)
            : PageMemory(sizeBytes: max(PageMemory.hugePageBytes, slabBytes), hugeFrom: 0)))
    }
    let offset = slab == 0 ? 0 : (slab - 1) % slabsPerPage * slabBytes
    pages[page].memory.enter(upTo: offset + slabBytes)
    return pages[page].memory.start + offset
  }

  /// - Parameter slab: The last one that was added; none of its bits is set.
  mutating func remove(slab: Int) {
    if slab == 0 || (slab - 1) % slabsPerPage == 0 { pages.removeLast() }
  }

  /// Moves a piece of memory from small into huge pages, if there is one at hand.
  /// - Returns: Pieces left.
  func exchangeSmallPages() -> Int {
    var left = 0
    for page in pages { left += left == 0 ? page.memory.exchangeSmallPages() : page.memory.smallPieces }
    return left
  }
}
