import FreshetCore

/// The item's side of a row to be scored.
public struct ResolvedItem {
  /// Nil if the catalog does not have the item or the request describes it itself.
  public let known: CatalogItem?
  /// For `combine`; valid as long as this value lives and until the extractor's next `itemPart` or `resolveItem` with the
  /// same scratch.
  public let part: UnsafeRawPointer
}

extension FeatureExtractor {
  /// Finds what is to be scored: the catalog's item with the scratch's item key.
  ///
  /// A request that gives item fields itself is taken at its word, and the catalog is not asked. An item that is not known
  /// has its key alone, as in training.
  public func resolveItem(_ catalog: ItemCatalog, _ scratch: FeatureScratch) throws(FeatureError) -> ResolvedItem {
    if !hasItemFields(scratch), let key = text(of: spec.itemKey, in: scratch), let item = catalog.item(key: key) {
      return ResolvedItem(known: item, part: item.part.bytes)
    }
    return ResolvedItem(known: nil, part: try itemPart(scratch).baseAddress!)
  }

  /// Whether the scratch has a value for a field of the item other than its key.
  public func hasItemFields(_ scratch: FeatureScratch) -> Bool {
    for field in 0..<spec.fields.count where spec.fields[field].source == .item && scratch.fields[field].count > 0 {
      return true
    }
    return false
  }
}
