import FreshetCore
import FreshetHTTP
import NIOCore

extension ClusterView {
  /// What `/api/state` answers: everything that the page shows but the past. docs/dashboard.md lists its members.
  public func state(now: Instant, time: UnixTime) -> ByteBuffer {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("version", cluster.version)
    writer.member("time_ms", time.milliseconds)
    writer.member("uptime_s", Int(now.milliseconds(since: startedAt) / 1000))
    writer.member("interval_ms", cluster.intervalMs)
    writer.object("history") { writer in
      writer.member("short_ms", history.fine.spanMs)
      writer.member("long_ms", history.coarse.spanMs)
    }
    writer.object("model") { writer in
      writer.member("name", cluster.model)
      writer.member("version", cluster.modelVersion)
      writer.member("user_key", cluster.userKey)
      writer.member("item_key", cluster.itemKey)
      writer.array("tasks", cluster.tasks) { $0.write($1) }
    }
    writer.object("kafka") { writer in
      writer.member("error", logFailure)
      writer.member("age_ms", logAnsweredAt.map { Int64(now.milliseconds(since: $0)) })
    }
    writer.array("topics", cluster.topics.all) { writer, topic in
      writer.beginObject()
      writer.member("purpose", topic.purpose)
      writer.member("name", topic.name)
      writer.member("end", log?.topics[topic.purpose]?.end)
      writer.member("per_second", topicPerSecond(topic.purpose, now: now))
      writer.endObject()
    }
    writer.array("processes", records) { $0.write($1, of: self, now: now) }
    writer.array("flows", flows(now: now)) { $0.write($1) }
    writeTasks(to: &writer)
    writer.object("freshness") { writer in
      writer.member("p50_ms", freshness("p50"))
      writer.member("p99_ms", freshness("p99"))
    }
    writer.array("tables", tables(now: now)) { $0.write($1) }
    writer.object("dead_letters") { writer in
      writer.member("end", log?.topics["dead_letter"]?.end)
      writer.array("recent", deadLetters.recent.reversed()) { $0.write($1) }
    }
    writer.endObject()
    return writer.buffer
  }

  private func writeTasks(to writer: inout JSONWriter) {
    writer.member("validation_error", validationFailure)
    let tasks = validation.map { Array(zip(cluster.tasks, $0.tasks)) } ?? []
    writer.array("tasks", tasks) { writer, task in
      writer.beginObject()
      writer.member("name", task.0)
      writer.member("examples", Int64(clamping: task.1.total.count))
      for (suffix, window) in [("", task.1.total), ("_recent", task.1.recent)] {
        writer.member("auc" + suffix, window.auc)
        writer.member("logloss" + suffix, window.logloss)
        writer.member("normalized_entropy" + suffix, window.normalizedEntropy)
        writer.member("calibration" + suffix, window.calibration)
      }
      writer.endObject()
    }
  }

  /// What `/api/history` answers: the points behind a number, of the last minutes or of the day.
  public func history(isLong: Bool, after number: Int) -> ByteBuffer {
    let ring = isLong ? history.coarse : history.fine
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("step_ms", ring.stepMs)
    writer.member("capacity", ring.capacity)
    writer.array("series", history.series) { $0.write($1.name) }
    writer.member("next", ring.next)
    writer.array("points", ring.points(after: number)) { writer, point in
      writer.beginArray()
      writer.write(point.time.milliseconds)
      for value in point.values { writer.figure(value) }
      writer.endArray()
    }
    writer.endObject()
    return writer.buffer
  }
}

extension JSONWriter {
  fileprivate mutating func write(_ letter: DeadLetter) {
    beginObject()
    member("time_ms", letter.time?.milliseconds)
    member("code", letter.code)
    member("reason", letter.reason)
    member("role", letter.role)
    member("origin", letter.origin)
    member("payload", letter.payload)
    key("cut")
    write(letter.isCut)
    endObject()
  }
}
