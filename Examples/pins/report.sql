-- The most clicked category of each country
SELECT country, category, count(*) FILTER (is_clicked) AS clicks, round(avg(is_clicked::INT), 3) AS click_rate
FROM shown JOIN places USING (user_id) JOIN pins USING (pin_id)
GROUP BY country, category
QUALIFY row_number() OVER (PARTITION BY country ORDER BY clicks DESC, category) = 1
ORDER BY country;

-- The ten most popular pins, by clicks a showing, with one click and four showings without added to each
SELECT pin_id, category, title, count(*) AS times, count(*) FILTER (is_clicked) AS clicks,
  round((clicks + 1) / (times + 5), 3) AS smoothed_rate
FROM shown JOIN pins USING (pin_id)
GROUP BY pin_id, category, title
ORDER BY smoothed_rate DESC, pin_id
LIMIT 10;

-- The most popular category of each age group
SELECT age_group, category, count(*) FILTER (is_clicked) AS clicks, round(avg(is_clicked::INT), 3) AS click_rate
FROM shown JOIN users USING (user_id) JOIN pins USING (pin_id)
WHERE age_group IS NOT NULL
GROUP BY age_group, category
QUALIFY row_number() OVER (PARTITION BY age_group ORDER BY clicks DESC, category) = 1
ORDER BY min(age);

-- The poster with the most followers in each category, and the median
SELECT category, arg_max(poster_name, follower_count) AS poster, max(follower_count) AS followers,
  CAST(median(follower_count) AS BIGINT) AS median_followers, count(*) AS pins
FROM pins
GROUP BY category
ORDER BY category;

-- Users by the year in which they joined, and what they click
SELECT year(date_joined) AS joined, count(DISTINCT user_id) AS users, count(*) AS times, round(avg(is_clicked::INT), 3) AS click_rate
FROM users JOIN shown USING (user_id)
GROUP BY joined
ORDER BY joined;
