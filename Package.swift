// swift-tools-version: 6.1
import PackageDescription

// The instruction set that kernels are compiled for. `haswell` means AVX2 and FMA, which every x86-64 server
// of the last decade has; FRESHET_CPU=native-name builds for another one, FRESHET_CPU=generic for any.
#if arch(x86_64)
  let defaultCPU = "haswell"
#else
  let defaultCPU = "generic"
#endif
let cpu = Context.environment["FRESHET_CPU"] ?? defaultCPU
let cpuFlags: [SwiftSetting] =
  cpu == "generic" ? [] : [.unsafeFlags(["-Xcc", "-march=\(cpu)", "-Xcc", "-mtune=\(cpu)", "-target-cpu", cpu])]
let cpuCFlags: [CXXSetting] = cpu == "generic" ? [] : [.unsafeFlags(["-march=\(cpu)"])]
// FRESHET_FUZZ=1 adds the fuzz targets and instruments all modules for them: see Scripts/fuzz.
let isFuzzing = Context.environment["FRESHET_FUZZ"] == "1"
// Debug builds, and with them all tests and the simulator, check at run time that accesses to a variable do not overlap;
// release builds leave those checks out.
let settings: [SwiftSetting] =
  cpuFlags + (isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : [])
  + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]
// For modules whose functions others call for every request: their code may be built into the callers.
let inlinedSettings = settings + [.unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))]

let nio: [Target.Dependency] = [
  .product(name: "NIOCore", package: "swift-nio"),
  .product(name: "NIOPosix", package: "swift-nio"),
  .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
]

func module(_ name: String, _ dependencies: [Target.Dependency], isInlined: Bool = false) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: isInlined ? inlinedSettings : settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
  .testTarget(name: name + "Tests", dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let package = Package(
  name: "freshet",
  products: [.executable(name: "freshet", targets: ["freshet"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
  ],
  targets: [
    .systemLibrary(name: "CRdKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CRocksDB", pkgConfig: "rocksdb", providers: [.apt(["librocksdb-dev"])]),
    // A C face for simdjson, which is C++.
    .target(name: "CSimdJSON", cxxSettings: cpuCFlags, linkerSettings: [.linkedLibrary("simdjson")]),

    module("FreshetCore", ["CXXHash"], isInlined: true),
    .target(name: "CIntrinsics"),
    module("FreshetTable", ["FreshetCore", "CIntrinsics"], isInlined: true),
    module("FreshetModel", ["FreshetCore", "CIntrinsics", "CSimdJSON", "COpenBLAS"], isInlined: true),
    module("FreshetWire", ["FreshetCore", .product(name: "NIOCore", package: "swift-nio")], isInlined: true),
    module("FreshetCluster", ["FreshetCore", "FreshetTable", "FreshetModel", "CIntrinsics"], isInlined: true),
    // Optimised in debug builds too: the tests run hundreds of simulated clusters.
    .target(
      name: "FreshetSimulator", dependencies: ["FreshetCore", "FreshetTable", "FreshetModel", "FreshetCluster"],
      swiftSettings: settings + [.unsafeFlags(["-O"], .when(configuration: .debug))]),
    module("FreshetKafka", ["FreshetCore", "CRdKafka"]),
    module("FreshetStore", ["FreshetCore", "CZstd"]),
    module("FreshetRocks", ["FreshetCore", "CRocksDB"]),
    module(
      "FreshetS3",
      [
        "FreshetCore",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ]),
    module("FreshetNet", ["FreshetCore", "FreshetWire"] + nio, isInlined: true),
    module(
      "FreshetHTTP",
      [
        "FreshetCore",
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
      ] + nio),
    // The page's files become arrays of bytes: the program stays one file.
    .target(
      name: "FreshetDashboard",
      dependencies: [
        "FreshetCore", "FreshetModel", "FreshetCluster", "FreshetHTTP", .product(name: "NIOCore", package: "swift-nio"),
      ],
      resources: [
        "index.html", "dashboard.css", "dashboard.js", "dom.js", "format.js", "pipeline.js", "charts.js", "tables.js",
        "ask.js",
        "icon.svg",
      ].map { .embedInCode("Page/\($0)") },
      swiftSettings: settings),
    module(
      "FreshetRoles",
      [
        "FreshetCore", "FreshetTable", "FreshetModel", "FreshetWire", "FreshetCluster", "FreshetKafka", "FreshetStore",
        "FreshetRocks", "FreshetS3", "FreshetNet", "FreshetHTTP", "FreshetDashboard", "CIntrinsics",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
        .product(name: "Yams", package: "Yams"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ] + nio),
    .executableTarget(
      name: "freshet",
      dependencies: [
        "FreshetRoles", "FreshetSimulator", "FreshetNet", "FreshetWire", "FreshetTable", "FreshetCore",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ] + nio,
      swiftSettings: settings),

    // Operation scripts for tables, for the tests and for the fuzzer. Optimised in debug builds too, since their model
    // takes most of the time.
    .target(
      name: "FreshetTableScript", dependencies: ["FreshetTable", "FreshetCore"], path: "Tests/Support/TableScript",
      swiftSettings: settings + [.unsafeFlags(["-O"])]),
    .target(name: "CAllocationCount", path: "Tests/Support/AllocationCount"),

    tests("FreshetCore", ["FreshetCore"]),
    tests("FreshetTable", ["FreshetTable", "FreshetTableScript", "CAllocationCount", "FreshetCore"]),
    tests("FreshetModel", ["FreshetModel", "CAllocationCount", "FreshetCore"]),
    tests("FreshetWire", ["FreshetWire", "FreshetCore", .product(name: "NIOCore", package: "swift-nio")]),
    tests(
      "FreshetCluster", ["FreshetCluster", "FreshetModel", "FreshetTable", "CAllocationCount", "FreshetCore"]),
    tests("FreshetSimulator", ["FreshetSimulator", "FreshetCore"]),
    tests("FreshetKafka", ["FreshetKafka", "FreshetCore", "CRdKafka"]),
    tests("FreshetStore", ["FreshetStore", "FreshetCore"]),
    tests("FreshetRocks", ["FreshetRocks", "FreshetCore"]),
    tests("FreshetS3", ["FreshetS3", "FreshetCore"]),
    tests("FreshetHTTP", ["FreshetHTTP", "FreshetCore", .product(name: "Logging", package: "swift-log")] + nio),
    tests(
      "FreshetDashboard",
      [
        "FreshetDashboard", "FreshetCluster", "FreshetModel", "FreshetCore",
        .product(name: "NIOCore", package: "swift-nio"),
      ]
    ),
    tests("FreshetNet", ["FreshetNet", "FreshetWire", "FreshetCore"] + nio),
    tests(
      "FreshetRoles",
      ["FreshetRoles", "CAllocationCount", "CIntrinsics", "FreshetCluster", "FreshetModel", "FreshetCore"]),
  ],
  swiftLanguageModes: [.v6]
)

if isFuzzing {
  package.targets.append(
    .executableTarget(
      name: "fuzz-table", dependencies: ["FreshetTableScript"], path: "Fuzz/Table", swiftSettings: settings,
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]))
}
