-- The archive as tables of PostgreSQL 13 or newer, by psql, which needs `zstd` on its PATH:
--   ARCHIVE=archive.store LINES_DIR=lines psql -v ON_ERROR_STOP=1 -f postgres.sql -f views.sql -f report.sql
-- Files come from the client's disk; the server needs no access to them, and the user no rights but to create tables.
-- CSV with control characters for quote and delimiter takes each line as it is: JSON has these only escaped.
-- jsonb refuses \u0000 in texts; a record with one stops the load with the number of its line.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET TimeZone = 'UTC';
BEGIN;

DROP VIEW IF EXISTS popularity, offsets, ratings, clean_items, clean_actions, clean_features;
DROP TABLE IF EXISTS features, actions, items, examples;
CREATE TEMPORARY TABLE features_lines (line jsonb NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE actions_lines (line jsonb NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE items_lines (line jsonb NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE examples_lines (line jsonb NOT NULL) ON COMMIT DROP;
\copy features_lines FROM PROGRAM 'zstd -dcq "$ARCHIVE"/topics/features/*/*.jsonl.zst' WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')
\copy actions_lines FROM PROGRAM 'zstd -dcq "$ARCHIVE"/topics/actions/*/*.jsonl.zst' WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')
\copy items_lines FROM PROGRAM 'zstd -dcq "$ARCHIVE"/topics/items/*/*.jsonl.zst' WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')
\copy examples_lines FROM PROGRAM 'zstd -dcq "$LINES_DIR"/topics/examples/*/*.jsonl.zst' WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')

-- NULL for what is no integer, as for whatever a column cannot take: views.sql leaves it out.
CREATE FUNCTION pg_temp.integer_of(value text) RETURNS bigint IMMUTABLE LANGUAGE sql
AS $$ SELECT CASE WHEN value ~ '^-?[0-9]{1,18}$' THEN value::bigint END $$;
CREATE FUNCTION pg_temp.time_of(milliseconds bigint) RETURNS timestamp IMMUTABLE LANGUAGE sql
AS $$ SELECT timestamp '1970-01-01' + milliseconds * interval '1 millisecond' $$;

CREATE TABLE features AS
SELECT
  (line ->> 'partition')::integer AS kafka_partition, (line ->> 'offset')::bigint AS kafka_offset,
  pg_temp.time_of((line ->> 'time')::bigint) AS kafka_time, pg_temp.time_of((line ->> 'time')::bigint)::date AS archive_date,
  line #>> '{value,request_id}' AS request_id,
  pg_temp.time_of(pg_temp.integer_of(line #>> '{value,event_time}')) AS event_time,
  pg_temp.integer_of(line #>> '{value,user_id}') AS user_id,
  pg_temp.integer_of(line #>> '{value,item_id}') AS item_id
FROM features_lines;

CREATE TABLE actions AS
SELECT
  (line ->> 'partition')::integer AS kafka_partition, (line ->> 'offset')::bigint AS kafka_offset,
  pg_temp.time_of((line ->> 'time')::bigint) AS kafka_time, pg_temp.time_of((line ->> 'time')::bigint)::date AS archive_date,
  line #>> '{value,request_id}' AS request_id,
  pg_temp.time_of(pg_temp.integer_of(line #>> '{value,event_time}')) AS event_time,
  pg_temp.integer_of(line #>> '{value,user_id}') AS user_id,
  line #>> '{value,action}' AS action_type,
  CASE WHEN jsonb_typeof(line #> '{value,value}') = 'number' THEN (line #>> '{value,value}')::double precision END AS action_value
FROM actions_lines;

CREATE TABLE items AS
SELECT
  (line ->> 'partition')::integer AS kafka_partition, (line ->> 'offset')::bigint AS kafka_offset,
  pg_temp.time_of((line ->> 'time')::bigint) AS kafka_time, pg_temp.time_of((line ->> 'time')::bigint)::date AS archive_date,
  line ->> 'key' AS item_key,
  pg_temp.integer_of(line #>> '{value,item_id}') AS item_id,
  line #>> '{value,title}' AS title,
  pg_temp.integer_of(line #>> '{value,year}')::integer AS release_year
FROM items_lines;

CREATE TABLE examples AS
SELECT
  (line ->> 'partition')::integer AS kafka_partition, (line ->> 'offset')::bigint AS kafka_offset,
  pg_temp.time_of((line ->> 'time')::bigint) AS kafka_time, pg_temp.time_of((line ->> 'time')::bigint)::date AS archive_date,
  line ->> 'request' AS request_hash,
  pg_temp.time_of((line ->> 'event_time')::bigint) AS event_time, pg_temp.time_of((line ->> 'action_time')::bigint) AS action_time,
  (line ->> 'weight')::double precision AS weight, (line ->> 'negative_rate')::double precision AS negative_rate,
  line ->> 'origin' AS origin, (line #>> '{labels,like}')::double precision AS label_like
FROM examples_lines;

CREATE INDEX ON actions (request_id);
CREATE INDEX ON features (request_id);
COMMIT;
ANALYZE features, actions, items, examples;
