-- Every archived record is a row here, whatever is in it. Before this, say where the files of each topic are:
--   SET VARIABLE pin_files = '.freshet/pins/archive/topics/pin/date=*/*.jsonl.zst';  and geo_, user_, features_ and actions_files.

CREATE OR REPLACE MACRO archived(files) AS TABLE
SELECT "partition" AS kafka_partition, "offset" AS kafka_offset, make_timestamp("time" * 1000) AS kafka_time, key, value
FROM read_json(
  files, format = 'newline_delimited',
  columns = {'partition': 'INTEGER', 'offset': 'BIGINT', 'time': 'BIGINT', 'key': 'VARCHAR', 'value': 'JSON'});

CREATE OR REPLACE TABLE raw_pin AS FROM archived(getvariable('pin_files'));
CREATE OR REPLACE TABLE raw_geo AS FROM archived(getvariable('geo_files'));
CREATE OR REPLACE TABLE raw_user AS FROM archived(getvariable('user_files'));
CREATE OR REPLACE TABLE raw_features AS FROM archived(getvariable('features_files'));
CREATE OR REPLACE TABLE raw_actions AS FROM archived(getvariable('actions_files'));
