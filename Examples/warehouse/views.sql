-- Clean data, the same text for DuckDB, PostgreSQL, Spark, Athena and Redshift, after the file of that name.

-- Each record once. An archive has it once; files that were copied twice, or two archives in one place, do not. Copies are
-- equal in every column, so it does not matter whose columns are taken. What could not be used is left out.
-- (GROUP BY, not row_number() = 1: PostgreSQL expects one row of the latter, and joins one by one.)
CREATE OR REPLACE VIEW clean_features AS
SELECT
  kafka_partition, kafka_offset, max(kafka_time) AS kafka_time, max(request_id) AS request_id, max(event_time) AS event_time,
  max(user_id) AS user_id, max(item_id) AS item_id
FROM features
WHERE request_id IS NOT NULL AND event_time IS NOT NULL
GROUP BY kafka_partition, kafka_offset;

-- Each action once, too: a producer that repeats itself writes it at two offsets. The first counts, as with the joiner.
CREATE OR REPLACE VIEW clean_actions AS
SELECT
  a.kafka_partition, a.kafka_offset, max(a.kafka_time) AS kafka_time, a.request_id, max(a.event_time) AS event_time,
  max(a.user_id) AS user_id, a.action_type, max(a.action_value) AS action_value
FROM actions a
JOIN (
  SELECT kafka_partition, request_id, action_type, min(kafka_offset) AS kafka_offset
  FROM actions
  WHERE request_id IS NOT NULL AND event_time IS NOT NULL AND action_type IS NOT NULL
  GROUP BY kafka_partition, request_id, action_type
) earliest ON earliest.kafka_partition = a.kafka_partition AND earliest.kafka_offset = a.kafka_offset
GROUP BY a.kafka_partition, a.kafka_offset, a.request_id, a.action_type;

-- The last thing that was said of each item; one whose last record has no value is deleted.
CREATE OR REPLACE VIEW clean_items AS
SELECT i.item_id, max(i.title) AS title, max(i.release_year) AS release_year
FROM items i
JOIN (SELECT kafka_partition, item_key, max(kafka_offset) AS kafka_offset FROM items GROUP BY kafka_partition, item_key) latest
  ON latest.kafka_partition = i.kafka_partition AND latest.kafka_offset = i.kafka_offset
WHERE i.item_id IS NOT NULL
GROUP BY i.item_id;

-- An action knows its request, the request its item.
CREATE OR REPLACE VIEW ratings AS
SELECT a.user_id, f.item_id, i.title, i.release_year, a.action_value AS rating, f.event_time AS shown_at, a.event_time AS rated_at
FROM clean_actions a
JOIN (SELECT request_id, min(item_id) AS item_id, min(event_time) AS event_time FROM clean_features GROUP BY request_id) f
  ON f.request_id = a.request_id
LEFT JOIN clean_items i ON i.item_id = f.item_id
WHERE a.action_type = 'rating';

-- Records and offsets of each partition. `without_record` counts the offsets between the first and the last at which Kafka has no
-- record for a reader (markers of transactions, compacted records); it is 0 where producers do without transactions.
CREATE OR REPLACE VIEW offsets AS
SELECT
  topic, kafka_partition, count(*) AS records, min(kafka_offset) AS first_offset, max(kafka_offset) AS last_offset,
  count(*) - count(DISTINCT kafka_offset) AS duplicates,
  max(kafka_offset) - min(kafka_offset) + 1 - count(DISTINCT kafka_offset) AS without_record,
  sum(usable) AS usable
FROM (
  SELECT 'features' AS topic, kafka_partition, kafka_offset, CASE WHEN request_id IS NULL THEN 0 ELSE 1 END AS usable FROM features
  UNION ALL
  SELECT 'actions' AS topic, kafka_partition, kafka_offset, CASE WHEN request_id IS NULL THEN 0 ELSE 1 END AS usable FROM actions
  UNION ALL
  SELECT 'items' AS topic, kafka_partition, kafka_offset, CASE WHEN item_id IS NULL THEN 0 ELSE 1 END AS usable FROM items
  UNION ALL
  SELECT 'examples' AS topic, kafka_partition, kafka_offset, CASE WHEN request_hash IS NULL THEN 0 ELSE 1 END AS usable FROM examples
) records
GROUP BY topic, kafka_partition;

-- Ratings and their mean; `shrunk_mean` is drawn to the mean of all by ten ratings, so that one rating of 5 wins nothing.
CREATE OR REPLACE VIEW popularity AS
SELECT
  r.item_id, max(r.title) AS title, count(*) AS ratings, avg(r.rating) AS mean_rating,
  (sum(r.rating) + 10 * max(o.mean_rating)) / (count(*) + 10) AS shrunk_mean
FROM ratings r CROSS JOIN (SELECT avg(rating) AS mean_rating FROM ratings) o
GROUP BY r.item_id;
