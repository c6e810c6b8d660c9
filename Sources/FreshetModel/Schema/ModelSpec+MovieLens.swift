extension ModelSpec {
  /// The model of the demo: MovieLens-1M, one task "rating of 4 and more", one table of dimension 16.
  public static let movieLens: ModelSpec = {
    let fields = [
      FieldSpec(name: "user_id", type: .integer),
      FieldSpec(name: "item_id", type: .integer),
      FieldSpec(name: "gender"),
      FieldSpec(name: "age", type: .integer),
      FieldSpec(name: "occupation", type: .integer),
      FieldSpec(name: "zip"),
      FieldSpec(name: "year", type: .integer, source: .item),
      FieldSpec(name: "genres", multi: true, source: .item),
    ]
    let slots = fields.enumerated().map { index, field in
      SlotSpec(
        name: field.name, index: index, fields: [index],
        transform: field.name == "zip" ? .prefix(characters: 2) : .hash,
        pooling: field.multi ? .mean : .sum)
    }
    return ModelSpec(
      name: "movielens", userKey: 0, itemKey: 1, fields: fields, slots: slots,
      tables: [TableSpec(name: "embeddings", dimension: 16)],
      network: NetworkSpec(kind: .deepFM, hidden: [64, 32]),
      tasks: [TaskSpec(name: "like", action: "rating", positive: .valueAtLeast(4))])
  }()
}
