-- The archive as tables of DuckDB. Before this, say where the files are:
--   SET VARIABLE archive = 'archive.store';  -- features, actions, items: `freshet archive --topics features,actions,items`
--   SET VARIABLE lines = 'lines';            -- examples: `freshet archive export --out lines`
-- Either may be s3://bucket/prefix, with DuckDB's extension httpfs and `CREATE SECRET (TYPE s3, PROVIDER credential_chain)`.
-- Every record becomes a row, whatever is in it: what a column cannot take is NULL, and views.sql leaves it out.

CREATE OR REPLACE TABLE features AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, make_timestamp("time" * 1000) AS kafka_time, "date" AS archive_date,
  value ->> 'request_id' AS request_id,
  make_timestamp(TRY_CAST(value ->> 'event_time' AS BIGINT) * 1000) AS event_time,
  TRY_CAST(value ->> 'user_id' AS BIGINT) AS user_id,
  TRY_CAST(value ->> 'item_id' AS BIGINT) AS item_id
FROM read_json(
  getvariable('archive') || '/topics/features/*/*.jsonl.zst', format = 'newline_delimited',
  hive_partitioning = true, hive_types = {'date': DATE},
  columns = {'partition': 'INTEGER', 'offset': 'BIGINT', 'time': 'BIGINT', 'key': 'VARCHAR', 'value': 'JSON'});

CREATE OR REPLACE TABLE actions AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, make_timestamp("time" * 1000) AS kafka_time, "date" AS archive_date,
  value ->> 'request_id' AS request_id,
  make_timestamp(TRY_CAST(value ->> 'event_time' AS BIGINT) * 1000) AS event_time,
  TRY_CAST(value ->> 'user_id' AS BIGINT) AS user_id,
  value ->> 'action' AS action_type,
  TRY_CAST(value ->> 'value' AS DOUBLE) AS action_value
FROM read_json(
  getvariable('archive') || '/topics/actions/*/*.jsonl.zst', format = 'newline_delimited',
  hive_partitioning = true, hive_types = {'date': DATE},
  columns = {'partition': 'INTEGER', 'offset': 'BIGINT', 'time': 'BIGINT', 'key': 'VARCHAR', 'value': 'JSON'});

CREATE OR REPLACE TABLE items AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, make_timestamp("time" * 1000) AS kafka_time, "date" AS archive_date,
  key AS item_key,
  TRY_CAST(value ->> 'item_id' AS BIGINT) AS item_id,
  value ->> 'title' AS title,
  TRY_CAST(value ->> 'year' AS INTEGER) AS release_year
FROM read_json(
  getvariable('archive') || '/topics/items/*/*.jsonl.zst', format = 'newline_delimited',
  hive_partitioning = true, hive_types = {'date': DATE},
  columns = {'partition': 'INTEGER', 'offset': 'BIGINT', 'time': 'BIGINT', 'key': 'VARCHAR', 'value': 'JSON'});

CREATE OR REPLACE TABLE examples AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, make_timestamp("time" * 1000) AS kafka_time, "date" AS archive_date,
  request AS request_hash,
  make_timestamp(event_time * 1000) AS event_time, make_timestamp(action_time * 1000) AS action_time,
  weight, negative_rate, origin, labels.like AS label_like
FROM read_json(
  getvariable('lines') || '/topics/examples/*/*.jsonl.zst', format = 'newline_delimited',
  hive_partitioning = true, hive_types = {'date': DATE},
  columns = {
    'partition': 'INTEGER', 'offset': 'BIGINT', 'time': 'BIGINT', 'request': 'VARCHAR', 'event_time': 'BIGINT',
    'action_time': 'BIGINT', 'weight': 'DOUBLE', 'negative_rate': 'DOUBLE', 'origin': 'VARCHAR',
    'labels': 'STRUCT("like" DOUBLE)'});
