"""Apache Flink: `flink_join.py DIRECTORY COUNT`. SQL, an interval join by request id within an hour, parallelism 1.

Streaming mode, files in, nothing out; the time is the job's own. Needs apache-flink and a Java runtime.
"""

import importlib.metadata
import json
import pathlib
import sys

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

SOURCE = """
CREATE TABLE {name} (request BIGINT, at_ms BIGINT, {columns}, at AS TO_TIMESTAMP_LTZ(at_ms, 3),
  WATERMARK FOR at AS at - INTERVAL '1' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv', 'csv.ignore-parse-errors' = 'true')
"""
JOIN = """
INSERT INTO results
SELECT f.request, f.person, f.thing, a.label FROM features f, actions a
WHERE f.request = a.request AND a.at BETWEEN f.at AND f.at + INTERVAL '1' HOUR
"""


def main(directory, count):
    settings = Configuration()
    settings.set_string("parallelism.default", "1")
    settings.set_string("taskmanager.memory.process.size", "4g")
    settings.set_string("pipeline.object-reuse", "true")
    tables = TableEnvironment.create(
        EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(settings).build())
    for name, columns in (("features", "person BIGINT, thing BIGINT"), ("actions", "label INT")):
        path = (pathlib.Path(directory) / f"{name}.csv").resolve().as_uri()
        tables.execute_sql(SOURCE.format(name=name, columns=columns, path=path))
    tables.execute_sql(
        "CREATE TABLE results (request BIGINT, person BIGINT, thing BIGINT, label INT) WITH ('connector' = 'blackhole')")
    done = tables.execute_sql(JOIN)
    done.wait()
    seconds = done.get_job_client().get_job_execution_result().result().get_net_runtime() / 1000
    print(json.dumps({
        "version": importlib.metadata.version("apache-flink"), "events_per_second": int(2 * count / seconds)}))


main(sys.argv[1], int(sys.argv[2]))
