/// Which part of a row to be scored: what the request says, what the item is, or what both make together.
public enum RowSide: Int, Sendable, CaseIterable {
  case request, item, mixed
}

/// How the slots and dense features of a model are divided between the sides of a row, each in the schema's order.
public struct FeatureSides: Sendable, Equatable {
  public struct Side: Sendable, Equatable {
    /// Positions among the model's slots.
    public var slots: [Int]
    /// Positions among the model's dense features.
    public var dense: [Int]

    public init(slots: [Int], dense: [Int]) {
      self.slots = slots
      self.dense = dense
    }
  }

  public var request: Side
  public var item: Side
  /// Crosses of fields of both; it has no dense features.
  public var mixed: Side

  public init(request: Side, item: Side, mixed: Side) {
    self.request = request
    self.item = item
    self.mixed = mixed
  }

  public subscript(side: RowSide) -> Side {
    switch side {
    case .request: request
    case .item: item
    case .mixed: mixed
    }
  }
}
