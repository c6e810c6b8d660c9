-- What was posted last of each pin, user and place, in columns with types. What is no value is NULL, and nothing is left out but what
-- has no id and what was posted again.

-- "12k" and "3M" are numbers; "User Info Error" is none.
CREATE OR REPLACE MACRO number_of(text) AS
  TRY_CAST(regexp_extract(text, '^(\d+)[kM]?$', 1) AS BIGINT)
  * CASE right(text, 1) WHEN 'k' THEN 1000 WHEN 'M' THEN 1000000 ELSE 1 END;

CREATE OR REPLACE MACRO text_or_null(text, nothing) AS CASE WHEN trim(text) = '' OR text ILIKE nothing THEN NULL ELSE trim(text) END;

CREATE OR REPLACE TABLE pins AS
SELECT
  TRY_CAST(value ->> 'pin_id' AS BIGINT) AS pin_id,
  value ->> 'category' AS category,
  text_or_null(value ->> 'title', 'No Title%') AS title,
  text_or_null(value ->> 'description', 'No description%') AS description,
  value ->> 'poster_name' AS poster_name,
  number_of(value ->> 'follower_count') AS follower_count,
  string_split(value ->> 'tag_list', ',') AS tags,
  value ->> 'is_image_or_video' AS kind,
  replace(value ->> 'save_location', 'Local save in ', '') AS save_location,
  kafka_time
FROM raw_pin
WHERE TRY_CAST(value ->> 'pin_id' AS BIGINT) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY pin_id ORDER BY kafka_partition, kafka_offset DESC) = 1
ORDER BY pin_id;

CREATE OR REPLACE TABLE users AS
SELECT
  TRY_CAST(value ->> 'user_id' AS BIGINT) AS user_id,
  concat_ws(' ', value ->> 'first_name', value ->> 'last_name') AS name,
  TRY_CAST(value ->> 'age' AS INTEGER) AS age,
  TRY_CAST(value ->> 'date_joined' AS TIMESTAMP) AS date_joined,
  CASE
    WHEN TRY_CAST(value ->> 'age' AS INTEGER) < 18 THEN 'under 18'
    WHEN TRY_CAST(value ->> 'age' AS INTEGER) < 25 THEN '18-24'
    WHEN TRY_CAST(value ->> 'age' AS INTEGER) < 36 THEN '25-35'
    WHEN TRY_CAST(value ->> 'age' AS INTEGER) < 51 THEN '36-50'
    WHEN TRY_CAST(value ->> 'age' AS INTEGER) >= 51 THEN '51 and over'
  END AS age_group
FROM raw_user
WHERE TRY_CAST(value ->> 'user_id' AS BIGINT) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY kafka_partition, kafka_offset DESC) = 1
ORDER BY user_id;

CREATE OR REPLACE TABLE places AS
SELECT
  TRY_CAST(value ->> 'user_id' AS BIGINT) AS user_id,
  value ->> 'country' AS country,
  [TRY_CAST(value ->> 'latitude' AS DOUBLE), TRY_CAST(value ->> 'longitude' AS DOUBLE)] AS coordinates,
  make_timestamp(TRY_CAST(value ->> 'timestamp' AS BIGINT) * 1000) AS posted_at
FROM raw_geo
WHERE TRY_CAST(value ->> 'user_id' AS BIGINT) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY kafka_partition, kafka_offset DESC) = 1
ORDER BY user_id;

-- One row for each pin that was shown, with its click if there was one. The records that end the stream are of no user.
CREATE OR REPLACE TABLE shown AS
WITH clicks AS (
  SELECT DISTINCT value ->> 'request_id' AS request_id FROM raw_actions WHERE value ->> 'action' = 'click'
)
SELECT
  value ->> 'request_id' AS request_id,
  make_timestamp(TRY_CAST(value ->> 'event_time' AS BIGINT) * 1000) AS event_time,
  TRY_CAST(value ->> 'user_id' AS BIGINT) AS user_id,
  TRY_CAST(value ->> 'pin_id' AS BIGINT) AS pin_id,
  TRY_CAST(value ->> 'place' AS INTEGER) AS place,
  clicks.request_id IS NOT NULL AS is_clicked
FROM raw_features LEFT JOIN clicks ON clicks.request_id = value ->> 'request_id'
WHERE TRY_CAST(value ->> 'user_id' AS BIGINT) > 0
QUALIFY row_number() OVER (PARTITION BY value ->> 'request_id' ORDER BY kafka_partition, kafka_offset) = 1
ORDER BY event_time, request_id;
