// Index designs: fid → row, each with the same operations.
//
//   kName, kEntryBytes           what it is called; bytes for each unit of capacity
//   Design(capacity)             `capacity` entries, vacant
//   Prefetch(hash)               asks for the first memory that a look-up of the hash touches
//   Prepare(fid, hash, hint)     second stage of a look-up, when the first memory has arrived; may prefetch more
//   Find(fid, hash, hint)        the row plus one, or 0
//   Insert(fid, hash, row)       adds a fid that is perhaps there already; false when the index cannot take it
//   Lines(fid, hash)             cache lines that a look-up touches
//
// `hash` is Mix(fid). Every entry has a fid (8 bytes), a row (4 bytes, stored plus one, 0 is vacant) and the minute of
// its last update (4 bytes), because expiry wants that near the fid.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "memory.h"
#include "workload.h"

struct Entry {
  uint64_t fid;
  uint32_t row;
  uint32_t minute;
};

constexpr size_t kLineBytes = 64;
constexpr size_t kEntriesPerLine = kLineBytes / sizeof(Entry);

/// (a) Linear probing over a power of two of 16-byte entries.
class Linear {
 public:
  static constexpr const char* kName = "a linear, 16-byte entries";
  static constexpr double kEntryBytes = 16;
  static constexpr bool kPowerOfTwo = true;

  explicit Linear(size_t capacity) : entries_(capacity), mask_(capacity - 1) {}
  void Clear() { entries_.Clear(); }
  void Prefetch(uint64_t hash) const { __builtin_prefetch(&entries_[hash & mask_], 0, 3); }
  void Prepare(uint64_t, uint64_t, uint32_t&) const {}
  uint32_t Find(uint64_t fid, uint64_t hash, uint32_t) const { return entries_[Slot(fid, hash)].row; }

  bool Insert(uint64_t fid, uint64_t hash, uint32_t row) {
    Entry& entry = entries_[Slot(fid, hash)];
    if (entry.row == 0) entry = Entry{fid, row + 1, 0};
    return true;
  }

  size_t Lines(uint64_t fid, uint64_t hash) const {
    const size_t steps = (Slot(fid, hash) - hash) & mask_;
    return ((hash & mask_) % kEntriesPerLine + steps) / kEntriesPerLine + 1;
  }

 private:
  size_t Slot(uint64_t fid, uint64_t hash) const {
    size_t slot = hash & mask_;
    while (entries_[slot].row != 0 && entries_[slot].fid != fid) slot = (slot + 1) & mask_;
    return slot;
  }

  HugeArray<Entry> entries_;
  size_t mask_;
};

/// A cache line of 4 entries, filled from the first one on.
struct alignas(kLineBytes) Bucket {
  uint64_t fids[4];
  uint32_t rows[4];
  uint32_t minutes[4];

  /// Bit i: entry i has the fid. A vacant entry has fid 0, so of several bits the lowest counts.
  unsigned Match(uint64_t fid) const {
    const __m256i wanted = _mm256_set1_epi64x(static_cast<int64_t>(fid));
    const __m256i here = _mm256_load_si256(reinterpret_cast<const __m256i*>(fids));
    return static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(here, wanted))));
  }
  bool IsFull() const { return rows[3] != 0; }
  /// The first vacant entry; the bucket is not full.
  size_t FirstVacant() const { return rows[0] == 0 ? 0 : rows[1] == 0 ? 1 : rows[2] == 0 ? 2 : 3; }
  void Set(size_t entry, uint64_t fid, uint32_t row) {
    fids[entry] = fid;
    rows[entry] = row + 1;
  }
};

/// (b) Linear probing over buckets of one cache line, any number of them.
class BucketedLinear {
 public:
  static constexpr const char* kName = "b bucketed linear, 4 a line";
  static constexpr double kEntryBytes = 16;
  static constexpr bool kPowerOfTwo = false;

  explicit BucketedLinear(size_t capacity) : buckets_(capacity / 4), count_(capacity / 4) {}
  void Clear() { buckets_.Clear(); }
  void Prefetch(uint64_t hash) const { __builtin_prefetch(&buckets_[Home(hash)], 0, 3); }
  void Prepare(uint64_t, uint64_t, uint32_t&) const {}

  uint32_t Find(uint64_t fid, uint64_t hash, uint32_t) const {
    for (size_t b = Home(hash);; b = Next(b)) {
      const unsigned match = buckets_[b].Match(fid);
      if (match != 0) return buckets_[b].rows[__builtin_ctz(match)];
      if (!buckets_[b].IsFull()) return 0;
    }
  }

  bool Insert(uint64_t fid, uint64_t hash, uint32_t row) {
    for (size_t b = Home(hash);; b = Next(b)) {
      Bucket& bucket = buckets_[b];
      const unsigned match = bucket.Match(fid);
      if (match != 0 && bucket.rows[__builtin_ctz(match)] != 0) return true;
      if (bucket.IsFull()) continue;
      bucket.Set(bucket.FirstVacant(), fid, row);
      return true;
    }
  }

  size_t Lines(uint64_t fid, uint64_t hash) const {
    size_t lines = 1;
    for (size_t b = Home(hash); buckets_[b].Match(fid) == 0 && buckets_[b].IsFull(); b = Next(b)) lines += 1;
    return lines;
  }

 private:
  size_t Home(uint64_t hash) const { return Scale(static_cast<uint32_t>(hash), count_); }
  size_t Next(size_t bucket) const { return bucket + 1 == count_ ? 0 : bucket + 1; }

  HugeArray<Bucket> buckets_;
  size_t count_;
};

/// (c) Groups of 16 one-byte tags, entries apart, linear probing over groups.
class Tagged {
 public:
  static constexpr const char* kName = "c 16 tags a group, entries apart";
  static constexpr double kEntryBytes = 17;
  static constexpr bool kPowerOfTwo = true;

  explicit Tagged(size_t capacity) : tags_(capacity), entries_(capacity), mask_(capacity / 16 - 1) {}
  void Clear() {
    tags_.Clear();
    entries_.Clear();
  }
  void Prefetch(uint64_t hash) const { __builtin_prefetch(&tags_[Home(hash) * 16], 0, 3); }

  void Prepare(uint64_t, uint64_t hash, uint32_t& hint) const {
    // The first entry with the right tag; nearly always the right one. Without one, nothing to ask for.
    const size_t group = Home(hash);
    const unsigned match = Equal(group, Tag(hash));
    hint = match;
    if (match != 0) __builtin_prefetch(&entries_[group * 16 + static_cast<size_t>(__builtin_ctz(match))], 0, 3);
  }

  uint32_t Find(uint64_t fid, uint64_t hash, uint32_t hint) const {
    size_t group = Home(hash);
    unsigned match = hint;
    while (true) {
      for (; match != 0; match &= match - 1) {
        const Entry& entry = entries_[group * 16 + static_cast<size_t>(__builtin_ctz(match))];
        if (entry.fid == fid) return entry.row;
      }
      if (Equal(group, 0) != 0) return 0;
      group = (group + 1) & mask_;
      match = Equal(group, Tag(hash));
    }
  }

  bool Insert(uint64_t fid, uint64_t hash, uint32_t row) {
    for (size_t group = Home(hash);; group = (group + 1) & mask_) {
      for (unsigned match = Equal(group, Tag(hash)); match != 0; match &= match - 1) {
        if (entries_[group * 16 + static_cast<size_t>(__builtin_ctz(match))].fid == fid) return true;
      }
      const unsigned vacant = Equal(group, 0);
      if (vacant == 0) continue;
      const size_t slot = group * 16 + static_cast<size_t>(__builtin_ctz(vacant));
      tags_[slot] = Tag(hash);
      entries_[slot] = Entry{fid, row + 1, 0};
      return true;
    }
  }

  /// A line for each 4 groups of tags, and one for each entry that is compared.
  size_t Lines(uint64_t fid, uint64_t hash) const {
    size_t lines = 0;
    size_t last_line = ~size_t{0};
    for (size_t group = Home(hash);; group = (group + 1) & mask_) {
      if (group / 4 != last_line) lines += 1;
      last_line = group / 4;
      for (unsigned match = Equal(group, Tag(hash)); match != 0; match &= match - 1) {
        lines += 1;
        if (entries_[group * 16 + static_cast<size_t>(__builtin_ctz(match))].fid == fid) return lines;
      }
      if (Equal(group, 0) != 0) return lines;
    }
  }

 private:
  size_t Home(uint64_t hash) const { return hash & mask_; }
  /// 1...255; 0 is vacant.
  static uint8_t Tag(uint64_t hash) { return static_cast<uint8_t>((hash >> 56) % 255 + 1); }
  unsigned Equal(size_t group, uint8_t tag) const {
    const __m128i here = _mm_load_si128(reinterpret_cast<const __m128i*>(&tags_[group * 16]));
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(here, _mm_set1_epi8(static_cast<char>(tag)))));
  }

  HugeArray<uint8_t> tags_;
  HugeArray<Entry> entries_;
  size_t mask_;
};

/// (d) Cuckoo hashing, two buckets of 4 for each fid, both prefetched, random walk on insertion.
class Cuckoo {
 public:
  static constexpr const char* kName = "d cuckoo, 2 × 4";
  static constexpr double kEntryBytes = 16;
  static constexpr bool kPowerOfTwo = false;

  explicit Cuckoo(size_t capacity) : buckets_(capacity / 4), count_(capacity / 4) {}
  void Clear() { buckets_.Clear(); }
  void Prefetch(uint64_t hash) const {
    __builtin_prefetch(&buckets_[First(hash)], 0, 3);
    __builtin_prefetch(&buckets_[Second(hash)], 0, 3);
  }
  void Prepare(uint64_t, uint64_t, uint32_t&) const {}

  uint32_t Find(uint64_t fid, uint64_t hash, uint32_t) const {
    // Both at once: which of the two it is cannot be predicted.
    const Bucket& first = buckets_[First(hash)];
    const Bucket& second = buckets_[Second(hash)];
    const unsigned match = first.Match(fid) | second.Match(fid) << 4;
    if (match == 0) return 0;
    const auto bit = static_cast<unsigned>(__builtin_ctz(match));
    return (bit < 4 ? first : second).rows[bit & 3];
  }

  bool Insert(uint64_t fid, uint64_t hash, uint32_t row) {
    if (Find(fid, hash, 0) != 0) return true;
    size_t b = First(hash);
    if (buckets_[b].IsFull()) b = Second(hash);
    for (int kicks = 0; kicks < 1000; kicks++) {
      Bucket& bucket = buckets_[b];
      if (!bucket.IsFull()) {
        bucket.Set(bucket.FirstVacant(), fid, row);
        return true;
      }
      const size_t victim = generator_.Next() & 3;
      const uint64_t evicted_fid = bucket.fids[victim];
      const uint32_t evicted_row = bucket.rows[victim] - 1;
      bucket.Set(victim, fid, row);
      fid = evicted_fid;
      row = evicted_row;
      const uint64_t evicted_hash = Mix(fid);
      b = First(evicted_hash) == b ? Second(evicted_hash) : First(evicted_hash);
    }
    return false;
  }

  /// Always both: the second is on its way before the first has been looked at.
  size_t Lines(uint64_t, uint64_t hash) const { return First(hash) == Second(hash) ? 1 : 2; }

 private:
  size_t First(uint64_t hash) const { return Scale(static_cast<uint32_t>(hash), count_); }
  size_t Second(uint64_t hash) const { return Scale(static_cast<uint32_t>(hash >> 32), count_); }

  HugeArray<Bucket> buckets_;
  size_t count_;
  Generator generator_{3};
};

/// (e) Robin Hood: linear probing that keeps a run ordered by home, so that an absent fid is known before the run ends.
class RobinHood {
 public:
  static constexpr const char* kName = "e Robin Hood, 16-byte entries";
  static constexpr double kEntryBytes = 16;
  static constexpr bool kPowerOfTwo = true;

  explicit RobinHood(size_t capacity) : entries_(capacity), mask_(capacity - 1) {}
  void Clear() { entries_.Clear(); }
  void Prefetch(uint64_t hash) const { __builtin_prefetch(&entries_[hash & mask_], 0, 3); }
  void Prepare(uint64_t, uint64_t, uint32_t&) const {}

  uint32_t Find(uint64_t fid, uint64_t hash, uint32_t) const {
    const Entry& entry = entries_[Slot(fid, hash)];
    return entry.fid == fid ? entry.row : 0;
  }

  bool Insert(uint64_t fid, uint64_t hash, uint32_t row) {
    size_t slot = Slot(fid, hash);
    if (entries_[slot].row != 0 && entries_[slot].fid == fid) return true;
    Entry carried{fid, row + 1, 0};
    // What follows keeps its order when all of it moves on by one.
    for (; entries_[slot].row != 0; slot = (slot + 1) & mask_) std::swap(carried, entries_[slot]);
    entries_[slot] = carried;
    return true;
  }

  size_t Lines(uint64_t fid, uint64_t hash) const {
    const size_t steps = (Slot(fid, hash) - hash) & mask_;
    return ((hash & mask_) % kEntriesPerLine + steps) / kEntriesPerLine + 1;
  }

 private:
  /// The slot of the fid, or the one where it would go: vacant, or of an entry nearer to its home.
  size_t Slot(uint64_t fid, uint64_t hash) const {
    size_t slot = hash & mask_;
    for (size_t distance = 0;; distance++, slot = (slot + 1) & mask_) {
      const Entry& entry = entries_[slot];
      if (entry.row == 0 || entry.fid == fid || ((slot - Mix(entry.fid)) & mask_) < distance) return slot;
    }
  }

  HugeArray<Entry> entries_;
  size_t mask_;
};
