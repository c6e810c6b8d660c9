-- Films, and what was learned of them, for DuckDB; after duckdb.sql and views.sql of Examples/warehouse. Needs two tables more, which
-- movielens.py makes: `item_fids` (item_id, item_fid), `predictions` (request_id, user_id, item_id, score).

-- The last record of each film, with its genres.
CREATE OR REPLACE TABLE movies AS
SELECT i.item_id, i.title, i.release_year, g.genres
FROM clean_items i
JOIN (
  SELECT TRY_CAST(value ->> 'item_id' AS BIGINT) AS item_id, arg_max(CAST(value -> 'genres' AS VARCHAR[]), "offset") AS genres
  FROM read_json(
    getvariable('archive') || '/topics/items/*/*.jsonl.zst', format = 'newline_delimited',
    columns = {'offset': 'BIGINT', 'value': 'JSON'})
  GROUP BY 1) g USING (item_id);

-- What trainers learned, and of which film: an example has no id of its item but the fid that was learned.
CREATE OR REPLACE TABLE learned AS
SELECT e."partition" AS kafka_partition, e."offset" AS kafka_offset, e.labels.like AS liked, m.item_id, m.title, m.release_year, m.genres
FROM read_json(
  getvariable('lines') || '/topics/examples/*/*.jsonl.zst', format = 'newline_delimited',
  columns = {'partition': 'INTEGER', 'offset': 'BIGINT', 'labels': 'STRUCT("like" DOUBLE)', 'fids': 'STRUCT(item_id VARCHAR[])'}) e
LEFT JOIN item_fids f ON f.item_fid = e.fids.item_id[1]
LEFT JOIN movies m USING (item_id);

-- Scores that were given before the rating was known, beside the rating.
CREATE OR REPLACE VIEW judged AS
SELECT p.request_id, p.score, CASE WHEN a.action_value >= 4 THEN 1 ELSE 0 END AS liked, m.genres
FROM predictions p
JOIN clean_actions a ON a.request_id = p.request_id
LEFT JOIN movies m ON m.item_id = p.item_id;

-- AUC of scores for labels of 0 and 1, in groups: the mean rank of the positives, ties in the middle (Mann and Whitney 1947).
CREATE OR REPLACE MACRO auc_of(ranks, positives, negatives) AS
  (ranks - positives * (positives + 1) / 2) / nullif(positives * negatives, 0);
