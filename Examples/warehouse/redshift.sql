-- The archive as tables of Amazon Redshift; put your bucket in place of BUCKET. The default IAM role must read it.
-- COPY takes the files under a prefix: give one day (…/topics/features/date=2026-11-30/) to load only that.

DROP TABLE IF EXISTS features_lines, actions_lines, items_lines, examples_lines;
CREATE TABLE features_lines ("partition" INTEGER, "offset" BIGINT, "time" BIGINT, "key" VARCHAR(65535), "value" SUPER);
CREATE TABLE actions_lines ("partition" INTEGER, "offset" BIGINT, "time" BIGINT, "key" VARCHAR(65535), "value" SUPER);
CREATE TABLE items_lines ("partition" INTEGER, "offset" BIGINT, "time" BIGINT, "key" VARCHAR(65535), "value" SUPER);
CREATE TABLE examples_lines (
  "partition" INTEGER, "offset" BIGINT, "time" BIGINT, request VARCHAR(20), event_time BIGINT, action_time BIGINT,
  weight DOUBLE PRECISION, negative_rate DOUBLE PRECISION, origin VARCHAR(32), labels SUPER);

COPY features_lines FROM 's3://BUCKET/archive/topics/features/' IAM_ROLE default FORMAT JSON 'auto' ZSTD;
COPY actions_lines FROM 's3://BUCKET/archive/topics/actions/' IAM_ROLE default FORMAT JSON 'auto' ZSTD;
COPY items_lines FROM 's3://BUCKET/archive/topics/items/' IAM_ROLE default FORMAT JSON 'auto' ZSTD;
COPY examples_lines FROM 's3://BUCKET/lines/topics/examples/' IAM_ROLE default FORMAT JSON 'auto' ZSTD;

DROP TABLE IF EXISTS features, actions, items, examples CASCADE;
CREATE TABLE features AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, TIMESTAMP 'epoch' + "time" / 1000.0 * INTERVAL '1 second' AS kafka_time,
  TRUNC(TIMESTAMP 'epoch' + "time" / 1000.0 * INTERVAL '1 second') AS archive_date,
  "value".request_id::VARCHAR AS request_id,
  TIMESTAMP 'epoch' + "value".event_time::BIGINT / 1000.0 * INTERVAL '1 second' AS event_time,
  "value".user_id::BIGINT AS user_id, "value".item_id::BIGINT AS item_id
FROM features_lines;

CREATE TABLE actions AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, TIMESTAMP 'epoch' + "time" / 1000.0 * INTERVAL '1 second' AS kafka_time,
  TRUNC(TIMESTAMP 'epoch' + "time" / 1000.0 * INTERVAL '1 second') AS archive_date,
  "value".request_id::VARCHAR AS request_id,
  TIMESTAMP 'epoch' + "value".event_time::BIGINT / 1000.0 * INTERVAL '1 second' AS event_time,
  "value".user_id::BIGINT AS user_id, "value".action::VARCHAR AS action_type, "value"."value"::DOUBLE PRECISION AS action_value
FROM actions_lines;

CREATE TABLE items AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, TIMESTAMP 'epoch' + "time" / 1000.0 * INTERVAL '1 second' AS kafka_time,
  TRUNC(TIMESTAMP 'epoch' + "time" / 1000.0 * INTERVAL '1 second') AS archive_date,
  "key" AS item_key, "value".item_id::BIGINT AS item_id, "value".title::VARCHAR AS title, "value".year::INTEGER AS release_year
FROM items_lines;

CREATE TABLE examples AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, TIMESTAMP 'epoch' + "time" / 1000.0 * INTERVAL '1 second' AS kafka_time,
  TRUNC(TIMESTAMP 'epoch' + "time" / 1000.0 * INTERVAL '1 second') AS archive_date, request AS request_hash,
  TIMESTAMP 'epoch' + event_time / 1000.0 * INTERVAL '1 second' AS event_time,
  TIMESTAMP 'epoch' + action_time / 1000.0 * INTERVAL '1 second' AS action_time,
  weight, negative_rate, origin, labels."like"::DOUBLE PRECISION AS label_like
FROM examples_lines;
