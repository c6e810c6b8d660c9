-- Is everything there? Rows are offsets, but for the markers of the joiner's transactions in `examples`.
SELECT topic, sum(records)::BIGINT AS "rows", sum(last_offset + 1)::BIGINT AS offsets, sum(without_record)::BIGINT AS without_record,
  sum(duplicates)::BIGINT AS duplicates FROM offsets GROUP BY topic ORDER BY topic;

-- Every example has its film.
SELECT count(*) AS examples, count(item_id) AS with_film, count(DISTINCT item_id) AS films, round(avg(liked), 3) AS liked FROM learned;

-- Live scores of the last ratings.
SELECT count(*) AS ratings, sum(liked)::BIGINT AS liked,
  round(auc_of(sum(CASE WHEN liked = 1 THEN place END), sum(liked), sum(1 - liked)), 4) AS auc
FROM (SELECT liked, rank() OVER (ORDER BY score) + (count(*) OVER (PARTITION BY score) - 1) / 2 AS place FROM judged);

-- Genres: what is liked, of everything that was learned, and how well the last ratings were foretold.
WITH shares AS (
  SELECT genre, count(*) AS examples, avg(liked) AS liked FROM (SELECT unnest(genres) AS genre, liked FROM learned) GROUP BY genre),
ranked AS (
  SELECT genre, liked, rank() OVER (PARTITION BY genre ORDER BY score) + (count(*) OVER (PARTITION BY genre, score) - 1) / 2 AS place
  FROM (SELECT unnest(genres) AS genre, liked, score FROM judged)),
foretold AS (
  SELECT genre, count(*) AS judged, auc_of(sum(CASE WHEN liked = 1 THEN place END), sum(liked), sum(1 - liked)) AS auc
  FROM ranked GROUP BY genre)
SELECT genre, examples, round(liked, 3) AS liked, judged, round(auc, 3) AS auc
FROM shares LEFT JOIN foretold USING (genre) ORDER BY auc DESC NULLS LAST, genre;

-- The best films of those with enough ratings.
SELECT p.title, p.ratings, round(p.mean_rating, 2) AS mean_rating, round(p.shrunk_mean, 2) AS shrunk_mean, round(l.liked, 3) AS liked
FROM popularity p JOIN (SELECT item_id, avg(liked) AS liked FROM learned GROUP BY item_id) l USING (item_id)
WHERE p.ratings >= getvariable('ratings') ORDER BY p.shrunk_mean DESC, p.title LIMIT 10;
