extension ConfigurationReference {
  static let model: [String: Meaning] = [
    "name": Meaning("", "the first argument of `SCORE`"),
    "version": Meaning(
      "",
      """
      tells a second model that is to take the place of one of the same name from that \
      ([operations.md](operations.md#changing-the-model)). Requests do not name it
      """),
    "user_key": Meaning(
      "",
      """
      names of the fields that are the user and the item: request fields with one integer or string
      """),
    "item_key": Meaning(
      "",
      """
      names of the fields that are the user and the item: request fields with one integer or string
      """),
    "audit": Meaning(
      "",
      """
      also keep a table `audit`, in which the row of every fid is the number of times that it has occurred in \
      the examples trained on ([exactly-once.md](exactly-once.md)). Exact up to 2²⁴ (16,777,216) occurrences \
      of a fid. It costs a row of 4 bytes for every fid on servers and replicas, takes no part in the model, \
      and is never expired
      """),
  ]

  static let modelFields: [String: Meaning] = [
    "type": Meaning("", "`integer` (64 bits), `string` or `float`"),
    "multi": Meaning("", "a list: a JSON array, or text with `\\|` between the values"),
    "source": Meaning(
      "",
      """
      `request`: from `features` or the request for a score. `item`: from the catalog. The name of an \
      enrichment: from its topic, where record or request do not say it
      """),
  ]

  static let modelEnrichments: [String: Meaning] = [
    "key": Meaning(
      "",
      """
      a field of the request with one integer or string; not the item key, whose catalog is `items`
      """),
    "topic": Meaning("", "created, compacted, if it does not exist", fallback: "the enrichment's name"),
  ]

  static let modelTables: [String: Meaning] = [
    "dimension": Meaning(
      "",
      """
      factors of an embedding; a linear weight comes on top. Slots may have tables of different dimensions \
      ([models.md](models.md#dimensions-by-slot)); 0 is a linear weight alone
      """),
    "initial_deviation": Meaning(
      "",
      """
      standard deviation of a new row's factors (uniform, mean 0); linear weights start at 0
      """),
    "seed": Meaning("", "a row's initial value is a function of seed and fid"),
    "weights": Meaning(
      "",
      """
      what weights are kept as while they are trained. Optimizer state stays `fp32`, and steps are computed in \
      it. `fp16` has 11 bits of precision and ends at ±65,504; `bf16` has 8 bits. A step smaller than that is \
      rounded up or down at random, in proportion, so that many of them add up
      """),
    "admission.minimum_count": Meaning(
      "",
      """
      a fid gets a row with the update (a batch that has it) that makes it the *n*-th. 1 admits everything
      """),
    "admission.sketch_bytes": Meaning(
      "bytes, per shard",
      """
      memory that counts fids without a row: it remembers about the last `sketch_bytes` / 8 of their updates. \
      Only with `minimum_count`
      """, fallback: "262,144"),
    "admission.probability": Meaning(
      "",
      """
      each update of a fid without a row gives it one with this probability. Not together with \
      `minimum_count`. 1 admits everything
      """),
    "expiry.time_to_live_minutes": Meaning(
      "minutes of event time",
      """
      a row that has not been updated for longer goes away. 0 is never
      """),
    "maximum_rows": Meaning(
      "rows, on all shards together",
      """
      beyond it, rows that were updated long ago give way to new ones
      """),
  ]

  static let modelSlots: [String: Meaning] = [
    "field": Meaning("", "the field it is made of", fallback: "the slot's name"),
    "cross": Meaning(
      "",
      """
      instead of `field`: 2 to 8 fields; each combination of their values is one value
      """, fallback: "none"),
    "prefix": Meaning("", "keep the first so many characters", fallback: "none"),
    "boundaries": Meaning(
      "",
      """
      ascending numbers; the value becomes the number of its bucket. Numeric fields only; at most 10,000
      """, fallback: "none"),
    "table": Meaning("", "where its rows live", fallback: "the first table"),
    "pooling": Meaning(
      "",
      """
      how several rows become one vector: `sum`, `mean`, or `sqrtn`, the sum divided by the square root of \
      their number
      """, fallback: "`mean` for multi-valued fields, else `sum`"),
    "max_length": Meaning(
      "",
      """
      the first so many values count, of a cross the first combinations; the rest is dropped. Changes \
      the schema: [models.md](models.md#slots-of-many-values)
      """),
    "learning_rate": Meaning("", "instead of the table's, with its optimizer", fallback: "the table's"),
    "admission": Meaning(
      "",
      """
      instead of the table's, with the same keys. `{minimum_count: 1}` admits everything
      """, fallback: "the table's", type: "as of a table"),
    "expiry": Meaning(
      "",
      """
      instead of the table's, with the same key. `{time_to_live_minutes: 0}` is never
      """, fallback: "the table's", type: "as of a table"),
  ]

  static let modelDenseFeatures: [String: Meaning] = [
    "field": Meaning("", "a numeric field that is no list", fallback: "the feature's name"),
    "transform": Meaning(
      "",
      """
      `identity`; `log1p` (sign(x) · ln(1 + \\|x\\|)); `standardize` ((x − `mean`) / `deviation`)
      """),
    "mean": Meaning("", "of `standardize`"),
    "deviation": Meaning("", "of `standardize`"),
    "default": Meaning("", "the value, after the transform, where the field is missing"),
  ]

  static let modelNetwork: [String: Meaning] = [
    "kind": Meaning("", "[models.md](models.md) says what they compute", fallback: "`deepfm`"),
    "hidden": Meaning(
      "",
      """
      units of the hidden layers that all tasks share, at most 8 of 1–4096; `deepfm` and `towers` need at \
      least one, `dcn` may have some
      """, fallback: "none"),
    "fm_slots": Meaning(
      "",
      """
      of `fm` and `deepfm`: the slots whose vectors the factorization machine multiplies, two at least. Their \
      tables must have one dimension above 0; the others' may have any
      """, fallback: "all slots"),
    "cross_layers": Meaning("", "of `dcn`"),
    "cross_rank": Meaning(
      "",
      """
      of `dcn`: the matrices of cross layers are products of two with so many columns and rows. \
      Without it they are full
      """),
    "cross_structure": Meaning(
      "",
      """
      of `dcn`: `parallel`, hidden layers beside the cross layers, or `stacked`, above them
      """),
    "experts": Meaning("", "of `mmoe`"),
    "expert_hidden": Meaning(
      "",
      """
      units of each expert's layers, as `hidden`; `mmoe` needs at least one
      """, fallback: "none"),
    "tower_hidden": Meaning(
      "",
      """
      units of each task's own layers, as `hidden`; `towers` needs at least one, `mmoe` may have some
      """, fallback: "none"),
  ]

  static let modelOptimizer: [String: Meaning] = [
    "kind": Meaning("", "the rule by which gradients change weights"),
    "learning_rate": Meaning("", "scales each step", fallback: "0.05; `momentum` 0.01; `rmsprop`, `adam` 0.001"),
    "momentum": Meaning("", "of `momentum`: share of the velocity that the next step keeps"),
    "initial_accumulator": Meaning("", "of `adagrad`: where the sum of squares starts"),
    "decay": Meaning("", "of `rmsprop`: of the mean square"),
    "beta1": Meaning("", "of `adam`: decay of the first and second moment; each row counts its own steps"),
    "beta2": Meaning("", "of `adam`: decay of the first and second moment; each row counts its own steps"),
    "epsilon": Meaning("", "of `adagrad`, `rmsprop`, `adam`: added to the divisor"),
    "beta": Meaning("", "of `ftrl`: keeps first steps short"),
    "l1": Meaning(
      "",
      """
      weight of the penalty l1 · ‖w‖₁. `ftrl` has it in its own formula and makes weights exactly 0; with the \
      others each step moves weights by rate · l1 towards 0
      """),
    "l2": Meaning("", "weight of the penalty l2/2 · ‖w‖², in `ftrl`'s own formula or added to the gradient"),
    "clip_value": Meaning("", "elements of a gradient are held within ± this"),
    "clip_norm": Meaning("", "a row's gradient that is longer is scaled down to this norm, after `clip_value`"),
  ]

  static let modelTasks: [String: Meaning] = [
    "action": Meaning("", "the `action` of the records that carry the label", fallback: "the task's name"),
    "positive_if_at_least": Meaning(
      "",
      """
      positive if the action's `value` is at least this. Without it, the action as such is positive
      """),
    "positive_if_dwell_ms": Meaning(
      "",
      """
      ms of event time, 1 to 2,592,000,000: positive if the action comes at least this long after its \
      impression. Not together with `positive_if_at_least`
      """),
  ]
}
