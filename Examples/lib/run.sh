# shellcheck shell=bash
# What the examples' `run` scripts share; to be sourced by bash scripts in strict mode, in the root of the project.
#
#   example_run NAME ARGUMENT…   builds the release binary, starts a local broker (or uses KAFKA_BOOTSTRAP_SERVERS), and runs
#                                Examples/NAME/NAME.py with the arguments. With --keep among them, and success, the broker stays.

# shellcheck source=Scripts/lib/broker.sh
source Scripts/lib/broker.sh

example_run() {
  local name=$1 output=.freshet/$1 keep=0 word status=0 started=$SECONDS
  shift
  for word in "$@"; do
    if [[ $word == --keep ]]; then keep=1; fi
  done
  mkdir -p "$output"
  echo "$name: building the release binary (minutes the first time)" >&2
  if ! swift build -c release --product freshet >"$output/build.log" 2>&1; then
    tail -n 30 "$output/build.log" >&2
    echo "$name: the build failed; all of it is in $output/build.log" >&2
    return 1
  fi
  trap broker_stop EXIT
  # An example starts from nothing: a local broker's data of the last run is not of this one.
  if [[ -z ${KAFKA_BOOTSTRAP_SERVERS:-} ]]; then
    BROKER_DATA=$PWD/$output/broker
    rm -rf "$BROKER_DATA"
  fi
  broker_start
  export FRESHET_KAFKA_BOOTSTRAP_SERVERS=$KAFKA_BOOTSTRAP_SERVERS
  .freshet/venv/bin/python "Examples/$name/$name.py" --binary .build/release/freshet --output "$output" \
    --broker-pid "${broker_pid:-0}" "$@" || status=$?
  if ((keep && status == 0)); then trap - EXIT; else broker_stop; fi
  echo "$name: $((SECONDS - started)) s in all" >&2
  return "$status"
}
