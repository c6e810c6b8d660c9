// What is asked of every peer: fids, and the order in which they are looked up.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

constexpr size_t kBatch = 4096;

/// Seconds since some fixed moment.
inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The finaliser of MurmurHash3, a bijection.
inline uint64_t Mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

/// `x × range / 2^32`: maps 32 random bits to `0 ..< range` without a division.
inline uint64_t Scale(uint32_t x, uint64_t range) { return (x * range) >> 32; }

constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15ULL;

/// Output number `index`, from 0, of SplitMix64 (Steele, Lea and Flood, 2014) seeded with `seed`.
inline uint64_t SplitMix64(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * kGoldenGamma;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

class Generator {
 public:
  explicit Generator(uint64_t seed) : seed_(seed) {}
  uint64_t Next() { return SplitMix64(seed_, index_++); }
  /// Uniform in `0 ..< 1`, 53 random bits.
  double NextUnit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  /// Uniform in `0 ..< range`; `range` is below 2^32.
  uint32_t NextBelow(uint64_t range) {
    return static_cast<uint32_t>(Scale(static_cast<uint32_t>(Next() >> 32), range));
  }

 private:
  uint64_t seed_;
  uint64_t index_ = 0;
};

/// Ranks `1...count` with probability proportional to `rank^-exponent`, by rejection-inversion
/// (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", 1996).
class ZipfSampler {
 public:
  /// `exponent` is positive and not 1.
  ZipfSampler(uint64_t count, double exponent) : count_(static_cast<double>(count)), exponent_(exponent) {
    first_area_ = Area(1.5) - 1;
    last_area_ = Area(count_ + 0.5);
    accept_width_ = 2 - InverseArea(Area(2.5) - std::pow(2.0, -exponent_));
  }

  uint64_t Next(Generator& generator) const {
    while (true) {
      const double area = last_area_ + generator.NextUnit() * (first_area_ - last_area_);
      const double x = InverseArea(area);
      double rank = std::floor(x + 0.5);
      rank = rank < 1 ? 1 : rank > count_ ? count_ : rank;
      if (rank - x <= accept_width_ || area >= Area(rank + 0.5) - std::pow(rank, -exponent_)) {
        return static_cast<uint64_t>(rank);
      }
    }
  }

 private:
  /// The integral of `t^-exponent` over `1...x`.
  double Area(double x) const { return std::expm1((1 - exponent_) * std::log(x)) / (1 - exponent_); }
  double InverseArea(double area) const { return std::exp(std::log1p(area * (1 - exponent_)) / (1 - exponent_)); }

  double count_;
  double exponent_;
  double first_area_;
  double last_area_;
  double accept_width_;
};

/// Numbers `0 ..< count` in random order.
inline std::vector<uint32_t> Shuffled(size_t count, Generator& generator) {
  std::vector<uint32_t> order(count);
  for (size_t i = 0; i < count; i++) order[i] = static_cast<uint32_t>(i);
  for (size_t i = count; i > 1; i--) std::swap(order[i - 1], order[generator.NextBelow(i)]);
  return order;
}

enum class Distribution { kUniform, kZipf };

constexpr double kZipfExponent = 0.99;

inline std::vector<uint64_t> MakeFids(size_t rows) {
  std::vector<uint64_t> fids(rows);
  for (size_t i = 0; i < rows; i++) fids[i] = Mix(i + 1);
  return fids;
}

/// Fids among those present. The ranks of the Zipf distribution are scattered over the order of insertion.
inline std::vector<uint64_t> MakeQueries(const std::vector<uint64_t>& fids, size_t count, Distribution distribution,
                                         uint64_t seed) {
  Generator generator(seed);
  std::vector<uint64_t> queries(count);
  if (distribution == Distribution::kUniform) {
    for (auto& query : queries) query = fids[generator.NextBelow(fids.size())];
    return queries;
  }
  const auto order = Shuffled(fids.size(), generator);
  const ZipfSampler sampler(fids.size(), kZipfExponent);
  for (auto& query : queries) query = fids[order[sampler.Next(generator) - 1]];
  return queries;
}
