// The indexes, each behind the same four operations: Reserve, Insert, Gather, Update.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <libcuckoo/cuckoohash_map.hh>

#include "rows.h"

/// Maps with an interface for one key at a time, used as their documentation shows; `Map` has TryInsert and Find.
template <typename Map>
class OneAtATime {
 public:
  static constexpr const char* kName = Map::kName;

  void Reserve(size_t count) { map_.Reserve(count); }
  size_t Count() const { return map_.Count(); }

  template <int kDim>
  void Insert(const uint64_t* fids, size_t count, uint32_t first_row, Rows<kDim>& rows) {
    for (size_t i = 0; i < count; i++) {
      const auto row = first_row + static_cast<uint32_t>(i);
      if (map_.TryInsert(fids[i], row)) rows.Initialize(row, fids[i]);
    }
  }

  template <int kDim>
  void Gather(const uint64_t* fids, size_t count, Rows<kDim>& rows, float* out) {
    const auto dim = static_cast<size_t>(rows.dim());
    for (size_t i = 0; i < count; i++) rows.CopyWeights(map_.Find(fids[i]), out + i * dim);
  }

  template <int kDim>
  void Update(const uint64_t* fids, size_t count, Rows<kDim>& rows, const float* gradients) {
    const auto dim = static_cast<size_t>(rows.dim());
    for (size_t i = 0; i < count; i++) rows.Adagrad(map_.Find(fids[i]), gradients + i * dim);
  }

 private:
  Map map_;
};

class LibcuckooMap {
 public:
  static constexpr const char* kName = "libcuckoo";
  void Reserve(size_t count) { map_.reserve(count); }
  size_t Count() const { return map_.size(); }
  bool TryInsert(uint64_t fid, uint32_t row) { return map_.insert(fid, row); }
  uint32_t Find(uint64_t fid) const {
    uint32_t row = 0;
    map_.find(fid, row);
    return row;
  }

 private:
  libcuckoo::cuckoohash_map<uint64_t, uint32_t> map_;
};

class AbslMap {
 public:
  static constexpr const char* kName = "absl";
  void Reserve(size_t count) { map_.reserve(count); }
  size_t Count() const { return map_.size(); }
  bool TryInsert(uint64_t fid, uint32_t row) { return map_.try_emplace(fid, row).second; }
  uint32_t Find(uint64_t fid) const { return map_.find(fid)->second; }

 private:
  absl::flat_hash_map<uint64_t, uint32_t> map_;
};

class BoostMap {
 public:
  static constexpr const char* kName = "boost";
  void Reserve(size_t count) { map_.reserve(count); }
  size_t Count() const { return map_.size(); }
  bool TryInsert(uint64_t fid, uint32_t row) { return map_.try_emplace(fid, row).second; }
  uint32_t Find(uint64_t fid) const { return map_.find(fid)->second; }

 private:
  boost::unordered::unordered_flat_map<uint64_t, uint32_t> map_;
};

/// What the machine allows a simple program: linear probing over a power of two of 16-byte entries in huge pages, at
/// most 3/4 full, a batch at a time, with the memory of later fids on its way while earlier ones are worked on.
class Reference {
 public:
  static constexpr const char* kName = "reference";

  Reference() { Resize(1024); }

  void Reserve(size_t count) {
    size_t capacity = 1024;
    while (capacity * 3 < count * 4) capacity *= 2;
    if (capacity > entries_.count()) Resize(capacity);
  }

  size_t Count() const { return count_; }

  template <int kDim>
  void Insert(const uint64_t* fids, size_t count, uint32_t first_row, Rows<kDim>& rows) {
    // Growing between batches only keeps the prefetched addresses good.
    while ((count_ + count) * 4 > entries_.count() * 3) Resize(entries_.count() * 2);
    for (size_t i = 0; i < count && i < kIndexAhead; i++) PrefetchHome(fids[i]);
    for (size_t i = 0; i < count; i++) {
      if (i + kIndexAhead < count) PrefetchHome(fids[i + kIndexAhead]);
      const auto row = first_row + static_cast<uint32_t>(i);
      Entry& entry = Probe(fids[i]);
      if (entry.row_plus_one != 0) continue;
      entry = Entry{fids[i], row + 1, 0};
      count_ += 1;
      rows.Initialize(row, fids[i]);
    }
  }

  template <int kDim>
  void Gather(const uint64_t* fids, size_t count, Rows<kDim>& rows, float* out) {
    FindAll(fids, count);
    for (size_t i = 0; i < count && i < kRowsAhead; i++) rows.PrefetchWeights(found_[i]);
    for (size_t i = 0; i < count; i++) {
      if (i + kRowsAhead < count) rows.PrefetchWeights(found_[i + kRowsAhead]);
      rows.CopyWeights(found_[i], out + i * static_cast<size_t>(rows.dim()));
    }
  }

  template <int kDim>
  void Update(const uint64_t* fids, size_t count, Rows<kDim>& rows, const float* gradients) {
    FindAll(fids, count);
    for (size_t i = 0; i < count && i < kRowsAhead; i++) rows.PrefetchAll(found_[i]);
    for (size_t i = 0; i < count; i++) {
      if (i + kRowsAhead < count) rows.PrefetchAll(found_[i + kRowsAhead]);
      rows.Adagrad(found_[i], gradients + i * static_cast<size_t>(rows.dim()));
    }
  }

 private:
  struct Entry {
    uint64_t fid;
    /// 0 in a vacant entry.
    uint32_t row_plus_one;
    uint32_t unused;
  };

  static constexpr size_t kIndexAhead = 16;
  static constexpr size_t kRowsAhead = 12;

  void PrefetchHome(uint64_t fid) const { __builtin_prefetch(&entries_[Mix(fid) & mask_], 0, 3); }

  /// The entry of `fid`, or the vacant one where it belongs.
  Entry& Probe(uint64_t fid) {
    size_t slot = Mix(fid) & mask_;
    while (entries_[slot].row_plus_one != 0 && entries_[slot].fid != fid) slot = (slot + 1) & mask_;
    return entries_[slot];
  }

  /// Fills `found_` with the rows of `count` fids that are present, at most `kBatch` of them.
  void FindAll(const uint64_t* fids, size_t count) {
    for (size_t i = 0; i < count && i < kIndexAhead; i++) PrefetchHome(fids[i]);
    for (size_t i = 0; i < count; i++) {
      if (i + kIndexAhead < count) PrefetchHome(fids[i + kIndexAhead]);
      found_[i] = Probe(fids[i]).row_plus_one - 1;
    }
  }

  void Resize(size_t capacity) {
    HugeArray<Entry> old(capacity);
    std::swap(old, entries_);
    mask_ = capacity - 1;
    for (size_t i = 0; i < old.count(); i++) {
      if (old[i].row_plus_one != 0) Probe(old[i].fid) = old[i];
    }
  }

  HugeArray<Entry> entries_;
  size_t mask_ = 0;
  size_t count_ = 0;
  uint32_t found_[kBatch];
};
