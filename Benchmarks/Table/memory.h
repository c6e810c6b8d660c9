// Memory in huge pages, and how much of it this process has.
#pragma once

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

constexpr size_t kHugePageBytes = size_t{1} << 21;

[[noreturn]] inline void Fail(const char* message) {
  std::fprintf(stderr, "%s\n", message);
  std::exit(2);
}

/// Zeroed, aligned to a huge page, and resident only where it has been touched.
template <typename T>
class HugeArray {
 public:
  HugeArray() = default;

  explicit HugeArray(size_t count) : count_(count) {
    // Address space for one more page, so that the first element can start at a page's first byte.
    mapped_bytes_ = (count * sizeof(T) / kHugePageBytes + 2) * kHugePageBytes;
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped_ == MAP_FAILED) Fail("out of memory");
    const auto address = reinterpret_cast<uintptr_t>(mapped_);
    data_ = reinterpret_cast<T*>((address + kHugePageBytes - 1) & ~(kHugePageBytes - 1));
    // Refused where the kernel has no huge pages; the array works all the same.
    madvise(data_, mapped_bytes_ - kHugePageBytes, MADV_HUGEPAGE);
  }

  HugeArray(HugeArray&& other) noexcept { *this = std::move(other); }

  HugeArray& operator=(HugeArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    std::swap(mapped_, other.mapped_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    return *this;
  }

  ~HugeArray() {
    if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
  }

  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t count() const { return count_; }
  void Clear() { std::memset(static_cast<void*>(data_), 0, count_ * sizeof(T)); }

 private:
  T* data_ = nullptr;
  size_t count_ = 0;
  void* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
};

/// Touched memory that goes back to the kernel a piece at a time, shortly before somebody asks for as much.
///
/// A virtual machine with free page reporting returns free memory to its host after about two seconds, and touching it
/// again costs up to 4 ms for each huge page: more than everything that an insert benchmark wants to measure.
class MemoryReserve {
 public:
  explicit MemoryReserve(size_t bytes) : memory_(bytes) {
    for (size_t offset = 0; offset < bytes; offset += 4096) {
      static_cast<volatile char*>(memory_.data())[offset] = 1;
    }
  }

  void Release(size_t bytes) {
    asked_ = std::min(asked_ + bytes, memory_.count());
    const size_t end = asked_ / kHugePageBytes * kHugePageBytes;
    if (end > released_) madvise(memory_.data() + released_, end - released_, MADV_DONTNEED);
    released_ = end;
  }

 private:
  HugeArray<char> memory_;
  size_t asked_ = 0;
  size_t released_ = 0;
};

/// Touches `bytes` of new memory and gives them back, so that the kernel has that much at hand.
inline void WarmFreeMemory(size_t bytes) { MemoryReserve reserve(bytes); }

/// VmRSS of this process, after free memory of the heap has gone back to the system.
inline size_t ResidentBytes() {
  malloc_trim(0);
  std::FILE* status = std::fopen("/proc/self/status", "r");
  if (status == nullptr) Fail("/proc/self/status cannot be read");
  char line[256];
  size_t kibibytes = 0;
  while (std::fgets(line, sizeof line, status) != nullptr) {
    if (std::sscanf(line, "VmRSS: %zu kB", &kibibytes) == 1) break;
  }
  std::fclose(status);
  return kibibytes * 1024;
}
