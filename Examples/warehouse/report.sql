-- Questions, the same text for DuckDB, PostgreSQL, Spark, Athena and Redshift, after views.sql.

-- Is everything there? `duplicates` should be 0, `without_record` is Kafka's own affair.
SELECT * FROM offsets ORDER BY topic, kafka_partition;

-- What do most people rate, and what do they like?
SELECT item_id, title, ratings, mean_rating, shrunk_mean FROM popularity ORDER BY ratings DESC, item_id LIMIT 10;

SELECT item_id, title, ratings, mean_rating, shrunk_mean FROM popularity ORDER BY shrunk_mean DESC, item_id LIMIT 10;

-- What was repeated, and what could not be used?
SELECT
  (SELECT count(*) FROM actions) AS records,
  (SELECT count(*) FROM actions) - (SELECT count(*) FROM clean_actions) AS left_out,
  (SELECT count(*) FROM clean_actions) AS actions,
  (SELECT count(*) FROM clean_actions WHERE action_type = 'rating') - (SELECT count(*) FROM ratings) AS ratings_without_request,
  (SELECT count(*) FROM ratings WHERE title IS NULL) AS ratings_without_item;

-- What was learned: examples by day and origin, and the share that is liked.
SELECT archive_date, origin, count(*) AS examples, avg(label_like) AS liked FROM examples GROUP BY archive_date, origin ORDER BY archive_date, origin;
