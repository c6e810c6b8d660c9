// Designs of an index fid → row, one thread, in huge pages, a batch at a time with prefetch: nanoseconds to find a
// present and an absent fid and to insert one, and cache lines touched, by load factor. README.md has the results.
//
//   index_designs [--capacity N] [--queries Q] [--rounds R] [--design a|b|c|d|e]
//
// All designs hold the same fids in the same number of entries: N (default 2^24) times the load factor.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "designs.h"
#include "memory.h"
#include "workload.h"

namespace {

struct Settings {
  size_t capacity = size_t{1} << 24;
  size_t queries = 4'000'000;
  int rounds = 5;
  std::string design;
};

constexpr double kLoads[] = {0.5, 0.6, 0.7, 0.8, 0.875};
constexpr size_t kAhead = 16;

struct Workload {
  std::vector<uint64_t> fids;
  std::vector<uint64_t> present;
  std::vector<uint64_t> absent;
  /// Of row plus one over `present`.
  uint64_t present_sum = 0;

  Workload(size_t rows, size_t queries) : fids(MakeFids(rows)), present(queries), absent(queries) {
    Generator generator(1);
    for (auto& query : present) {
      const uint32_t row = generator.NextBelow(rows);
      query = fids[row];
      present_sum += row + 1;
    }
    for (auto& query : absent) query = Mix(rows + 1 + generator.NextBelow(rows));
  }
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Nanoseconds per insertion, from empty to full.
template <typename Design>
double TimeInsert(Design& design, const std::vector<uint64_t>& fids) {
  design.Clear();
  const double start = Now();
  for (size_t i = 0; i < fids.size(); i++) {
    if (i + kAhead < fids.size()) design.Prefetch(Mix(fids[i + kAhead]));
    if (!design.Insert(fids[i], Mix(fids[i]), static_cast<uint32_t>(i))) Fail("the index is too full for this design");
  }
  return (Now() - start) / static_cast<double>(fids.size()) * 1e9;
}

/// Looks up a batch in three stages, each `kAhead` fids behind the one before; returns the sum of rows plus one.
template <typename Design>
uint64_t FindBatch(const Design& design, const uint64_t* fids, size_t count, uint32_t* rows) {
  uint32_t hints[kBatch];
  uint64_t sum = 0;
  for (size_t i = 0; i < count + 2 * kAhead; i++) {
    if (i < count) design.Prefetch(Mix(fids[i]));
    if (i >= kAhead && i - kAhead < count) {
      const size_t second = i - kAhead;
      design.Prepare(fids[second], Mix(fids[second]), hints[second]);
    }
    if (i >= 2 * kAhead) {
      const size_t third = i - 2 * kAhead;
      rows[third] = design.Find(fids[third], Mix(fids[third]), hints[third]);
      sum += rows[third];
    }
  }
  return sum;
}

template <typename Design>
double TimeFind(const Design& design, const std::vector<uint64_t>& queries, uint64_t& sum) {
  std::vector<uint32_t> rows(kBatch);
  sum = 0;
  const double start = Now();
  for (size_t first = 0; first < queries.size(); first += kBatch) {
    sum += FindBatch(design, &queries[first], std::min(kBatch, queries.size() - first), rows.data());
  }
  return (Now() - start) / static_cast<double>(queries.size()) * 1e9;
}

struct Lines {
  double mean = 0;
  size_t most = 0;
};

template <typename Design>
Lines CountLines(const Design& design, const std::vector<uint64_t>& queries) {
  Lines lines;
  size_t total = 0;
  for (const uint64_t fid : queries) {
    const size_t count = design.Lines(fid, Mix(fid));
    total += count;
    lines.most = std::max(lines.most, count);
  }
  lines.mean = static_cast<double>(total) / static_cast<double>(queries.size());
  return lines;
}

template <typename Design>
void Measure(const Settings& settings, const Workload& load) {
  if (!settings.design.empty() && settings.design[0] != Design::kName[0]) return;
  if (Design::kPowerOfTwo && (settings.capacity & (settings.capacity - 1)) != 0) return;
  Design design(settings.capacity);
  std::vector<double> insert, present, absent;
  for (int round = 0; round < settings.rounds; round++) {
    insert.push_back(TimeInsert(design, load.fids));
    uint64_t present_sum = 0;
    uint64_t absent_sum = 0;
    present.push_back(TimeFind(design, load.present, present_sum));
    absent.push_back(TimeFind(design, load.absent, absent_sum));
    if (present_sum != load.present_sum || absent_sum != 0) Fail("a look-up went wrong");
  }
  const Lines present_lines = CountLines(design, load.present);
  const Lines absent_lines = CountLines(design, load.absent);
  const double rows = static_cast<double>(load.fids.size());
  const double bytes = Design::kEntryBytes * static_cast<double>(settings.capacity) / rows;
  std::printf("| %s | %.3f | %.1f | %.1f | %.1f | %.2f (%zu) | %.2f (%zu) | %.1f |\n", Design::kName,
              rows / static_cast<double>(settings.capacity), Median(present), Median(absent), Median(insert),
              present_lines.mean, present_lines.most, absent_lines.mean, absent_lines.most, bytes);
  std::fflush(stdout);
}

Settings Parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    const unsigned long long number = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--capacity" && number >= 1024 && number <= 4'000'000'000) {
      settings.capacity = number / 16 * 16;
    } else if (option == "--queries" && number > 0) {
      settings.queries = number;
    } else if (option == "--rounds" && number > 0) {
      settings.rounds = static_cast<int>(number);
    } else if (option == "--design") {
      settings.design = argv[i + 1];
    } else {
      Fail("index_designs: unknown option, or a wrong value; the first lines of index_designs.cc name them");
    }
  }
  if (argc % 2 == 0) Fail("index_designs: an option without its value");
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = Parse(argc, argv);
  std::printf("| design | load | present ns | absent ns | insert ns | lines, present (max) | absent (max) | bytes |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  for (const double factor : kLoads) {
    const Workload load(static_cast<size_t>(factor * static_cast<double>(settings.capacity)), settings.queries);
    Measure<Linear>(settings, load);
    Measure<BucketedLinear>(settings, load);
    Measure<Tagged>(settings, load);
    Measure<Cuckoo>(settings, load);
    Measure<RobinHood>(settings, load);
  }
}
