import FreshetCore

/// `PULL`: the weights of some rows. Reply: their weights as packed floats, section by section in the request's order.
///
/// Layout: `u8 version = 1`, sections (`RowSectionsCodec`), then all fids, `u64` each.
public enum PullRequest {
  public static let version: UInt8 = 1

  public static func encode(sections: [RowSection], fids: UnsafeBufferPointer<Fid>, into writer: inout BinaryWriter) {
    writer.write(version)
    RowSectionsCodec.encode(sections, into: &writer)
    writer.write(fids: fids)
  }
}
