import FreshetCore

/// `PULL`: the weights of some rows. Reply: packed floats, section by section in the request's order. First the weights of a
/// section's rows; then, if it asks for state, for each row its optimizer state and 1 or 0 for whether it exists.
///
/// Layout: `u8 version = 2`, sections (`RowSectionsCodec`), then all fids, `u64` each.
public enum PullRequest {
  public static let version: UInt8 = 2

  public static func encode(sections: [RowSection], fids: UnsafeBufferPointer<Fid>, into writer: inout BinaryWriter) {
    writer.write(version)
    RowSectionsCodec.encode(sections, into: &writer)
    writer.write(fids: fids)
  }
}
