/// Memory for many small blocks that are freed roughly in the order of their allocation.
///
/// Blocks lie in chunks; a chunk is used again once all of its blocks are freed. In steady state nothing is allocated.
final class BlockArena {
  struct Block {
    let start: UnsafeMutableRawPointer
    let chunk: Int32
  }

  private struct Chunk {
    var memory: UnsafeMutableRawPointer
    var capacity: Int
    var used = 0
    var blocks = 0
  }

  private static let chunkBytes = 1 << 18
  private var chunks: [Chunk] = []
  private var free: [Int32] = []
  private var current: Int32 = -1
  /// Bytes of the chunks that hold blocks.
  private(set) var byteCount = 0

  deinit {
    for chunk in chunks { chunk.memory.deallocate() }
  }

  /// A block aligned to 8 bytes.
  func allocate(_ count: Int) -> Block {
    let size = (count + 7) & ~7
    if current < 0 || chunks[Int(current)].capacity - chunks[Int(current)].used < size { open(size) }
    let index = Int(current)
    let start = chunks[index].memory + chunks[index].used
    chunks[index].used += size
    chunks[index].blocks += 1
    return Block(start: start, chunk: current)
  }

  func release(_ block: Block) {
    let index = Int(block.chunk)
    chunks[index].blocks -= 1
    guard chunks[index].blocks == 0 else { return }
    chunks[index].used = 0
    if block.chunk != current { recycle(block.chunk) }
  }

  private func open(_ size: Int) {
    if current >= 0, chunks[Int(current)].blocks == 0 { recycle(current) }
    if size <= Self.chunkBytes, let index = free.popLast() {
      current = index
    } else {
      let capacity = max(size, Self.chunkBytes)
      current = Int32(chunks.count)
      chunks.append(Chunk(memory: .allocate(byteCount: capacity, alignment: 8), capacity: capacity))
    }
    byteCount += chunks[Int(current)].capacity
  }

  /// Chunks made for one large block give their memory back; they stay in the list as ordinary ones.
  private func recycle(_ index: Int32) {
    byteCount -= chunks[Int(index)].capacity
    if chunks[Int(index)].capacity > Self.chunkBytes {
      chunks[Int(index)].memory.deallocate()
      chunks[Int(index)].memory = .allocate(byteCount: Self.chunkBytes, alignment: 8)
      chunks[Int(index)].capacity = Self.chunkBytes
    }
    free.append(index)
  }
}
