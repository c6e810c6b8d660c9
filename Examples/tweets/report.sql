-- Questions about archived tweets, for DuckDB. Before this, say where the files are (`freshet archive --topics tweets,actions`):
--   SET VARIABLE tweets = 'archive/topics/tweets/*/*.jsonl.zst';
--   SET VARIABLE actions = 'archive/topics/actions/*/*.jsonl.zst';
-- Either may be in s3://…

CREATE OR REPLACE TEMPORARY VIEW tweets AS
SELECT
  "partition" AS kafka_partition, "offset" AS kafka_offset, value.data.id AS id, value.data.created_at AS created_at,
  value.data.lang AS lang, value.data.text AS text, list_transform(value.data.entities.hashtags, lambda tag: lower(tag.tag)) AS hashtags
FROM read_json(getvariable('tweets'), format = 'newline_delimited', columns = {
  'partition': 'INTEGER', 'offset': 'BIGINT',
  'value': 'STRUCT(data STRUCT(id VARCHAR, created_at TIMESTAMP, lang VARCHAR, text VARCHAR,
            entities STRUCT(hashtags STRUCT("start" INTEGER, "end" INTEGER, tag VARCHAR)[])))'});

CREATE OR REPLACE TEMPORARY VIEW engagements AS
SELECT "partition" AS kafka_partition, "offset" AS kafka_offset, value.request_id AS id, value.value AS reactions
FROM read_json(getvariable('actions'), format = 'newline_delimited', columns = {
  'partition': 'INTEGER', 'offset': 'BIGINT', 'value': 'STRUCT(request_id VARCHAR, "action" VARCHAR, value BIGINT)'});

-- Is everything there, once? Rows, offsets from the first to the last, and different offsets are the same number.
SELECT
  topic, kafka_partition, count(*) AS "rows", max(kafka_offset) - min(kafka_offset) + 1 AS offsets,
  count(DISTINCT kafka_offset) AS different, count(DISTINCT id) AS tweets
FROM (SELECT 'tweets' AS topic, kafka_partition, kafka_offset, id FROM tweets
      UNION ALL SELECT 'actions', kafka_partition, kafka_offset, id FROM engagements)
GROUP BY topic, kafka_partition ORDER BY topic DESC, kafka_partition;

-- Tweets by minute and language.
SELECT date_trunc('minute', created_at) AS minute, lang, count(*) AS tweets FROM tweets GROUP BY minute, lang ORDER BY minute, lang;

-- Hashtags by what came of their tweets.
SELECT hashtag, count(*) AS tweets, count(reactions) AS engaged, sum(coalesce(reactions, 0))::BIGINT AS reactions,
  round(sum(coalesce(reactions, 0)) / count(*), 2) AS reactions_a_tweet
FROM (SELECT id, unnest(hashtags) AS hashtag FROM tweets) LEFT JOIN engagements USING (id)
GROUP BY hashtag ORDER BY reactions DESC, hashtag LIMIT 10;
