// Hash maps as the index of an embedding table, one thread: insert, gather (look up and copy), update (look up and
// Adagrad). README.md says what is measured; `run` builds this and compares it with Freshet.
//
//   table_peers [--rows N] [--dim D] [--distribution uniform|zipf|both] [--queries Q] [--peer NAME|all]
//               [--json | --on-request]
//
// `both` fills each peer once for both distributions and prints a line for each.
//
// With `--on-request`, a peer takes turns with another program: once it is full, it prints {"ready":true} and reads
// lines from standard input, `gather uniform`, `update zipf` and so on, gathers first. Each is a pass over all queries
// and is answered by {"ns":…}. The end of the input ends the passes, and the other figures are printed as JSON.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "memory.h"
#include "peers.h"
#include "rows.h"
#include "workload.h"

namespace {

struct Settings {
  size_t rows = 10'000'000;
  int dim = 16;
  std::string distribution = "uniform";
  size_t queries = 4'000'000;
  std::string peer = "all";
  bool json = false;
  bool on_request = false;
};

struct Queries {
  const char* distribution;
  std::vector<uint64_t> fids;
  double gather_ns = 0;
  double update_ns = 0;
};

struct Result {
  const char* peer;
  double insert_ns;
  double insert_reserved_ns;
  double bytes_per_row;
  /// Of the rows after all updates; the same for every peer, or one of them is wrong.
  uint64_t checksum;
};

struct Workload {
  std::vector<uint64_t> fids;
  std::vector<Queries> queries;
  /// `kBatch` rows of gradients, reused for every batch; the same of rows that a gather writes.
  std::vector<float> gradients;
  std::vector<float> gathered;

  explicit Workload(const Settings& settings)
      : fids(MakeFids(settings.rows)),
        gradients(kBatch * static_cast<size_t>(settings.dim)),
        gathered(gradients.size()) {
    if (settings.distribution != "zipf") {
      queries.push_back({"uniform", MakeQueries(fids, settings.queries, Distribution::kUniform, 1)});
    }
    if (settings.distribution != "uniform") {
      queries.push_back({"zipf", MakeQueries(fids, settings.queries, Distribution::kZipf, 1)});
    }
    Generator generator(2);
    for (float& value : gradients) value = static_cast<float>(generator.NextUnit() - 0.5) * 0.02f;
  }
};

/// Calls `work(first, count)` for batches of at most `kBatch` of `total`; returns nanoseconds per element.
template <typename Work>
double TimeBatches(size_t total, Work work) {
  const double start = Now();
  for (size_t first = 0; first < total; first += kBatch) work(first, std::min(kBatch, total - first));
  return (Now() - start) / static_cast<double>(total) * 1e9;
}

/// Inserts all fids. The clock stands still while memory is got ready for the next ones.
template <typename Peer, int kDim>
double TimeInsert(Peer& peer, Rows<kDim>& rows, const Workload& load) {
  const size_t total = load.fids.size();
  MemoryReserve arena(total * rows.stride_bytes());
  const size_t step = total / 64 + kBatch;
  size_t rows_released = 0;
  double seconds = 0;
  double warmed = 0;
  for (size_t first = 0; first < total; first += kBatch) {
    for (; rows_released < first + 2 * step; rows_released += step) arena.Release(step * rows.stride_bytes());
    // An index that grows gets another one, twice its size; nobody knows when.
    if (first == 0) WarmFreeMemory(total * 64);
    if (seconds - warmed >= 1) {
      WarmFreeMemory(first * 64);
      warmed = seconds;
    }
    const double start = Now();
    peer.Insert(&load.fids[first], std::min(kBatch, total - first), static_cast<uint32_t>(first), rows);
    seconds += Now() - start;
  }
  if (peer.Count() != total) Fail("a fid was lost");
  return seconds / static_cast<double>(total) * 1e9;
}

/// Fails unless the last batch of the gather is the initial weights of its fids.
template <int kDim>
void CheckGathered(const std::vector<uint64_t>& fids, const std::vector<float>& gathered, int dim) {
  const size_t first = (fids.size() - 1) / kBatch * kBatch;
  for (size_t i = first; i < fids.size(); i++) {
    const uint64_t seed = Mix(fids[i]);
    for (int c = 0; c < dim; c++) {
      const float value = gathered[(i - first) * static_cast<size_t>(dim) + static_cast<size_t>(c)];
      if (value != Rows<kDim>::InitialWeight(seed, c)) Fail("a gather returned the wrong row");
    }
  }
}

template <int kDim>
uint64_t Checksum(Rows<kDim>& rows, size_t count) {
  uint64_t sum = 0;
  for (size_t row = 0; row < count; row += 16) {
    const float* weights = rows.Row(static_cast<uint32_t>(row));
    for (int c = 0; c < 2 * rows.dim(); c++) {
      uint32_t bits;
      std::memcpy(&bits, weights + c, sizeof bits);
      sum = sum * 31 + bits;
    }
  }
  return sum;
}

template <typename Peer, int kDim>
double TimeGather(Peer& peer, Rows<kDim>& rows, Workload& load, const std::vector<uint64_t>& fids, size_t total) {
  return TimeBatches(total, [&](size_t first, size_t count) {
    peer.Gather(&fids[first], count, rows, load.gathered.data());
  });
}

template <typename Peer, int kDim>
double TimeUpdate(Peer& peer, Rows<kDim>& rows, Workload& load, const std::vector<uint64_t>& fids, size_t total) {
  return TimeBatches(total, [&](size_t first, size_t count) {
    peer.Update(&fids[first], count, rows, load.gradients.data());
  });
}

/// Carries out the passes that standard input asks for, each once an eighth of the queries have filled the caches.
template <typename Peer, int kDim>
void AnswerRequests(Peer& peer, Rows<kDim>& rows, Workload& load, int dim) {
  std::puts("{\"ready\":true}");
  std::fflush(stdout);
  bool updated = false;
  char line[64];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    char operation[16] = "", distribution[16] = "";
    std::sscanf(line, "%15s %15s", operation, distribution);
    const auto queries = std::find_if(load.queries.begin(), load.queries.end(), [&](const Queries& queries) {
      return std::strcmp(queries.distribution, distribution) == 0;
    });
    if (queries == load.queries.end()) Fail("standard input: a pass is of a distribution that was asked for");
    const size_t total = queries->fids.size(), warm_up = total / 8;
    double time;
    if (std::strcmp(operation, "gather") == 0) {
      TimeGather<Peer, kDim>(peer, rows, load, queries->fids, warm_up);
      time = TimeGather<Peer, kDim>(peer, rows, load, queries->fids, total);
      if (!updated) CheckGathered<kDim>(queries->fids, load.gathered, dim);
    } else if (std::strcmp(operation, "update") == 0) {
      TimeUpdate<Peer, kDim>(peer, rows, load, queries->fids, warm_up);
      time = TimeUpdate<Peer, kDim>(peer, rows, load, queries->fids, total);
      updated = true;
    } else {
      Fail("standard input: a pass is a gather or an update");
    }
    std::printf("{\"ns\":%.2f}\n", time);
    std::fflush(stdout);
  }
}

template <typename Peer, int kDim>
Result Measure(const Settings& settings, Workload& load) {
  Result result{};
  result.peer = Peer::kName;
  {
    const size_t resident_before = ResidentBytes();
    auto rows = std::make_unique<Rows<kDim>>(settings.rows, settings.dim);
    auto peer = std::make_unique<Peer>();
    result.insert_ns = TimeInsert(*peer, *rows, load);
    result.bytes_per_row =
        static_cast<double>(ResidentBytes() - resident_before) / static_cast<double>(settings.rows);
    if (settings.on_request) {
      AnswerRequests<Peer, kDim>(*peer, *rows, load, settings.dim);
    } else {
      for (Queries& queries : load.queries) {
        queries.gather_ns = TimeGather<Peer, kDim>(*peer, *rows, load, queries.fids, queries.fids.size());
        CheckGathered<kDim>(queries.fids, load.gathered, settings.dim);
      }
      for (Queries& queries : load.queries) {
        queries.update_ns = TimeUpdate<Peer, kDim>(*peer, *rows, load, queries.fids, queries.fids.size());
      }
    }
    result.checksum = Checksum(*rows, settings.rows);
  }
  ResidentBytes();  // Gives the heap back, so that both inserts start from fresh memory.
  Rows<kDim> rows(settings.rows, settings.dim);
  auto peer = std::make_unique<Peer>();
  peer->Reserve(settings.rows);
  result.insert_reserved_ns = TimeInsert(*peer, rows, load);
  return result;
}

void PrintText(const Result& result, const Queries& queries) {
  std::printf("%-10s %-8s insert %7.1f  reserved %7.1f  gather %7.1f  update %7.1f ns  %7.1f bytes/row\n", result.peer,
              queries.distribution, result.insert_ns, result.insert_reserved_ns, queries.gather_ns, queries.update_ns,
              result.bytes_per_row);
}

/// `queries` is null if passes were asked for: their times have been told.
void PrintJson(const Settings& settings, const Result& result, const Queries* queries) {
  // With this tunable, glibc asks for huge pages for the peers' own memory too.
  const char* tunables = std::getenv("GLIBC_TUNABLES");
  const bool huge = tunables != nullptr && std::strstr(tunables, "glibc.malloc.hugetlb=1") != nullptr;
  std::printf("{\"peer\":\"%s\",\"rows\":%zu,\"dim\":%d,\"optimizer\":\"adagrad\",\"queries\":%zu,", result.peer,
              settings.rows, settings.dim, settings.queries);
  if (queries != nullptr) {
    std::printf("\"distribution\":\"%s\",\"gather_ns\":%.2f,\"update_ns\":%.2f,", queries->distribution,
                queries->gather_ns, queries->update_ns);
  }
  std::printf(
      "\"heap_pages\":\"%s\",\"insert_ns\":%.2f,\"insert_reserved_ns\":%.2f,\"bytes_per_row\":%.2f,"
      "\"stride_bytes\":%d,\"checksum\":\"%016llx\"}\n",
      huge ? "huge" : "default", result.insert_ns, result.insert_reserved_ns, result.bytes_per_row, settings.dim * 8,
      static_cast<unsigned long long>(result.checksum));
}

void Print(const Settings& settings, const Result& result, const Workload& load) {
  if (settings.on_request) return PrintJson(settings, result, nullptr);
  for (const Queries& queries : load.queries) {
    if (settings.json) {
      PrintJson(settings, result, &queries);
    } else {
      PrintText(result, queries);
    }
  }
}

template <int kDim>
void RunPeers(const Settings& settings) {
  Workload load(settings);
  bool found = false;
  const auto run = [&](const char* name, auto measure) {
    if (settings.peer != "all" && settings.peer != name) return;
    found = true;
    Print(settings, measure(settings, load), load);
    std::fflush(stdout);
  };
  run("libcuckoo", Measure<OneAtATime<LibcuckooMap>, kDim>);
  run("absl", Measure<OneAtATime<AbslMap>, kDim>);
  run("boost", Measure<OneAtATime<BoostMap>, kDim>);
  run("reference", Measure<Reference, kDim>);
  if (!found) Fail("--peer is libcuckoo, absl, boost, reference or all");
}

size_t Number(const char* option, const char* text, size_t least, size_t most) {
  char* end = nullptr;
  const unsigned long long value = std::strtoull(text, &end, 10);
  if (end == text || *end != 0 || *text == '-' || value < least || value > most) {
    std::fprintf(stderr, "%s is a number in %zu...%zu, not %s\n", option, least, most, text);
    std::exit(2);
  }
  return value;
}

Settings Parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; i++) {
    const std::string option = argv[i];
    if (option == "--json") {
      settings.json = true;
      continue;
    }
    if (option == "--on-request") {
      settings.on_request = true;
      continue;
    }
    if (i + 1 == argc) Fail("table_peers: an option without its value");
    const char* value = argv[++i];
    if (option == "--rows") {
      settings.rows = Number("--rows", value, 1, 4'000'000'000);
    } else if (option == "--dim") {
      settings.dim = static_cast<int>(Number("--dim", value, 8, 1024));
      if (settings.dim % 8 != 0) Fail("--dim is a multiple of 8");
    } else if (option == "--queries") {
      settings.queries = Number("--queries", value, 1, 4'000'000'000);
    } else if (option == "--peer") {
      settings.peer = value;
    } else if (option == "--distribution") {
      settings.distribution = value;
      if (settings.distribution != "uniform" && settings.distribution != "zipf" && settings.distribution != "both") {
        Fail("--distribution is uniform, zipf or both");
      }
    } else {
      Fail("table_peers: unknown option; the first lines of table_peers.cc name them");
    }
  }
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = Parse(argc, argv);
  switch (settings.dim) {
    case 8: RunPeers<8>(settings); break;
    case 16: RunPeers<16>(settings); break;
    case 32: RunPeers<32>(settings); break;
    case 64: RunPeers<64>(settings); break;
    default: RunPeers<0>(settings); break;
  }
}
