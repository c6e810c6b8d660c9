-- The archive as tables of Athena (engine version 3) or Trino with Hive. One statement at a time; put your bucket in place of BUCKET.
--
-- s3://BUCKET/archive is `archive.store`, s3://BUCKET/lines a copy of what `freshet archive export --out lines` wrote:
--   aws s3 sync lines s3://BUCKET/lines
--
-- Partitions are projected from `date=…` in the names: no crawler, no MSCK REPAIR. Set the first day of the range to that of the archive.

CREATE EXTERNAL TABLE IF NOT EXISTS features_files (`partition` int, `offset` bigint, `time` bigint, `key` string, `value` string)
PARTITIONED BY (`date` string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/archive/topics/features/'
TBLPROPERTIES (
  'projection.enabled' = 'true', 'projection.date.type' = 'date', 'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2026-01-01,NOW', 'projection.date.interval' = '1', 'projection.date.interval.unit' = 'DAYS',
  'storage.location.template' = 's3://BUCKET/archive/topics/features/date=${date}');

CREATE EXTERNAL TABLE IF NOT EXISTS actions_files (`partition` int, `offset` bigint, `time` bigint, `key` string, `value` string)
PARTITIONED BY (`date` string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/archive/topics/actions/'
TBLPROPERTIES (
  'projection.enabled' = 'true', 'projection.date.type' = 'date', 'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2026-01-01,NOW', 'projection.date.interval' = '1', 'projection.date.interval.unit' = 'DAYS',
  'storage.location.template' = 's3://BUCKET/archive/topics/actions/date=${date}');

CREATE EXTERNAL TABLE IF NOT EXISTS items_files (`partition` int, `offset` bigint, `time` bigint, `key` string, `value` string)
PARTITIONED BY (`date` string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/archive/topics/items/'
TBLPROPERTIES (
  'projection.enabled' = 'true', 'projection.date.type' = 'date', 'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2026-01-01,NOW', 'projection.date.interval' = '1', 'projection.date.interval.unit' = 'DAYS',
  'storage.location.template' = 's3://BUCKET/archive/topics/items/date=${date}');

CREATE EXTERNAL TABLE IF NOT EXISTS examples_files (
  `partition` int, `offset` bigint, `time` bigint, request string, event_time bigint, action_time bigint, weight double,
  negative_rate double, origin string, labels string)
PARTITIONED BY (`date` string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/lines/topics/examples/'
TBLPROPERTIES (
  'projection.enabled' = 'true', 'projection.date.type' = 'date', 'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2026-01-01,NOW', 'projection.date.interval' = '1', 'projection.date.interval.unit' = 'DAYS',
  'storage.location.template' = 's3://BUCKET/lines/topics/examples/date=${date}');

CREATE OR REPLACE VIEW features AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, CAST(from_unixtime("time" / 1e3) AS timestamp) AS kafka_time,
  CAST("date" AS date) AS archive_date,
  json_extract_scalar("value", '$.request_id') AS request_id,
  CAST(from_unixtime(try_cast(json_extract_scalar("value", '$.event_time') AS bigint) / 1e3) AS timestamp) AS event_time,
  try_cast(json_extract_scalar("value", '$.user_id') AS bigint) AS user_id,
  try_cast(json_extract_scalar("value", '$.item_id') AS bigint) AS item_id
FROM features_files;

CREATE OR REPLACE VIEW actions AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, CAST(from_unixtime("time" / 1e3) AS timestamp) AS kafka_time,
  CAST("date" AS date) AS archive_date,
  json_extract_scalar("value", '$.request_id') AS request_id,
  CAST(from_unixtime(try_cast(json_extract_scalar("value", '$.event_time') AS bigint) / 1e3) AS timestamp) AS event_time,
  try_cast(json_extract_scalar("value", '$.user_id') AS bigint) AS user_id,
  json_extract_scalar("value", '$.action') AS action_type,
  try_cast(json_extract_scalar("value", '$.value') AS double) AS action_value
FROM actions_files;

CREATE OR REPLACE VIEW items AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, CAST(from_unixtime("time" / 1e3) AS timestamp) AS kafka_time,
  CAST("date" AS date) AS archive_date,
  "key" AS item_key,
  try_cast(json_extract_scalar("value", '$.item_id') AS bigint) AS item_id,
  json_extract_scalar("value", '$.title') AS title,
  try_cast(json_extract_scalar("value", '$.year') AS integer) AS release_year
FROM items_files;

CREATE OR REPLACE VIEW examples AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, CAST(from_unixtime("time" / 1e3) AS timestamp) AS kafka_time,
  CAST("date" AS date) AS archive_date, request AS request_hash,
  CAST(from_unixtime(event_time / 1e3) AS timestamp) AS event_time, CAST(from_unixtime(action_time / 1e3) AS timestamp) AS action_time,
  weight, negative_rate, origin, try_cast(json_extract_scalar(labels, '$.like') AS double) AS label_like
FROM examples_files;
