-- The archive as tables of Spark 4.1 or newer, whose own zstd reads the files; older ones need Hadoop's native library with zstd.
--   spark-sql -d archive=/data/archive.store -d lines=/data/lines -f FILE     FILE: spark.sql, views.sql and report.sql in one
-- Both are absolute paths or URLs (s3a://bucket/prefix). Every record becomes a row: what a column cannot take is NULL.

CREATE TABLE IF NOT EXISTS features_files (`partition` INT, `offset` BIGINT, `time` BIGINT, `key` STRING, `value` STRING, `date` DATE)
USING json PARTITIONED BY (`date`) LOCATION '${archive}/topics/features';
CREATE TABLE IF NOT EXISTS actions_files (`partition` INT, `offset` BIGINT, `time` BIGINT, `key` STRING, `value` STRING, `date` DATE)
USING json PARTITIONED BY (`date`) LOCATION '${archive}/topics/actions';
CREATE TABLE IF NOT EXISTS items_files (`partition` INT, `offset` BIGINT, `time` BIGINT, `key` STRING, `value` STRING, `date` DATE)
USING json PARTITIONED BY (`date`) LOCATION '${archive}/topics/items';
CREATE TABLE IF NOT EXISTS examples_files (
  `partition` INT, `offset` BIGINT, `time` BIGINT, request STRING, event_time BIGINT, action_time BIGINT, weight DOUBLE,
  negative_rate DOUBLE, origin STRING, labels STRUCT<`like`: DOUBLE>, `date` DATE)
USING json PARTITIONED BY (`date`) LOCATION '${lines}/topics/examples';

-- Days that are new since the last time.
MSCK REPAIR TABLE features_files;
MSCK REPAIR TABLE actions_files;
MSCK REPAIR TABLE items_files;
MSCK REPAIR TABLE examples_files;

CREATE OR REPLACE VIEW features AS
SELECT
  `partition` AS kafka_partition, `offset` AS kafka_offset, timestamp_millis(`time`) AS kafka_time, `date` AS archive_date,
  get_json_object(`value`, '$.request_id') AS request_id,
  timestamp_millis(try_cast(get_json_object(`value`, '$.event_time') AS BIGINT)) AS event_time,
  try_cast(get_json_object(`value`, '$.user_id') AS BIGINT) AS user_id,
  try_cast(get_json_object(`value`, '$.item_id') AS BIGINT) AS item_id
FROM features_files;

CREATE OR REPLACE VIEW actions AS
SELECT
  `partition` AS kafka_partition, `offset` AS kafka_offset, timestamp_millis(`time`) AS kafka_time, `date` AS archive_date,
  get_json_object(`value`, '$.request_id') AS request_id,
  timestamp_millis(try_cast(get_json_object(`value`, '$.event_time') AS BIGINT)) AS event_time,
  try_cast(get_json_object(`value`, '$.user_id') AS BIGINT) AS user_id,
  get_json_object(`value`, '$.action') AS action_type,
  try_cast(get_json_object(`value`, '$.value') AS DOUBLE) AS action_value
FROM actions_files;

CREATE OR REPLACE VIEW items AS
SELECT
  `partition` AS kafka_partition, `offset` AS kafka_offset, timestamp_millis(`time`) AS kafka_time, `date` AS archive_date,
  `key` AS item_key,
  try_cast(get_json_object(`value`, '$.item_id') AS BIGINT) AS item_id,
  get_json_object(`value`, '$.title') AS title,
  try_cast(get_json_object(`value`, '$.year') AS INT) AS release_year
FROM items_files;

CREATE OR REPLACE VIEW examples AS
SELECT
  `partition` AS kafka_partition, `offset` AS kafka_offset, timestamp_millis(`time`) AS kafka_time, `date` AS archive_date,
  request AS request_hash, timestamp_millis(event_time) AS event_time, timestamp_millis(action_time) AS action_time,
  weight, negative_rate, origin, labels.`like` AS label_like
FROM examples_files;
