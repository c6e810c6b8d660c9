# shellcheck shell=bash
# The Kafka-protocol broker of scripts and tests; to be sourced by bash scripts in strict mode.
#
#   broker_start   exports KAFKA_BOOTSTRAP_SERVERS. If it is set already, that broker is used and left alone; otherwise
#                  a local one is started from .freshet/venv (Scripts/setup --python) on a free port.
#   broker_stop    stops the local broker, if broker_start started one; safe to call twice, and from a trap.
#
# BROKER_DATA   data directory (default: .freshet/broker); its log is broker.log inside.
# BROKER_PORT   port (default: a free one).

broker_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
broker_pid=

# A port that nothing listens on now. Another program may take it before the broker does: broker_start tries again.
broker_free_port() {
  "$broker_root/.freshet/venv/bin/python" -c '
import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}

broker_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Waits until the port answers; fails when the broker has exited or after 20 s.
broker_wait() {
  local port=$1 deadline=$((SECONDS + 20))
  while ((SECONDS < deadline)); do
    kill -0 "$broker_pid" 2>/dev/null || return 1
    if broker_answers "$port"; then return 0; fi
    sleep 0.05
  done
  return 1
}

broker_start() {
  if [[ -n ${KAFKA_BOOTSTRAP_SERVERS:-} ]]; then
    return 0
  fi
  local data=${BROKER_DATA:-$broker_root/.freshet/broker} programs program attempt port
  # The program itself: bin/noida-db is a Python script that runs it as a child, which outlives a kill of the script.
  programs=("$broker_root"/.freshet/venv/lib/python3*/site-packages/noida_db/noida-db)
  program=${programs[0]}
  if [[ ! -f $program ]]; then
    echo "broker: none in .freshet/venv; run Scripts/setup --python, or set KAFKA_BOOTSTRAP_SERVERS" >&2
    return 1
  fi
  [[ -x $program ]] || chmod +x "$program"
  mkdir -p "$data"
  for attempt in 1 2 3; do
    port=${BROKER_PORT:-$(broker_free_port)}
    if broker_answers "$port"; then
      echo "broker: port $port is taken" >&2
      return 1
    fi
    "$program" start --only kafka --kafka-port "$port" --data-dir "$data" >"$data/broker.log" 2>&1 </dev/null &
    broker_pid=$!
    if broker_wait "$port"; then
      export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$port
      return 0
    fi
    broker_stop
    echo "broker: it did not answer on port $port (attempt $attempt of 3); see $data/broker.log" >&2
  done
  return 1
}

broker_stop() {
  [[ -n $broker_pid ]] || return 0
  local pid=$broker_pid deadline=$((SECONDS + 10))
  broker_pid=
  unset KAFKA_BOOTSTRAP_SERVERS
  kill "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
  kill -9 "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
