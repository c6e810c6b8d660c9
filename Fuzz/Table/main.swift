import FreshetTableScript

/// One input of libFuzzer: a script of table operations. A failure traps, and so becomes a finding with its input saved.
private func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  var script = TableScript(Array(UnsafeBufferPointer(start: start, count: count)), budget: 5_000)
  do {
    try script.run()
  } catch {
    fatalError("\(error)")
  }
  return 0
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
  _ argumentCount: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

// The fuzzer as a library: an executable of the package manager has its own `main`.
var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
_ = runFuzzer(&count, &arguments, testOneInput)
