#!/bin/sh
# The container's command: serve.sh QUEUE. On SIGTERM the request at work is finished, then it ends.
# One that is killed before loses nothing: its claim goes back to the queue.
julia --project="$(dirname "$0")/.." --threads="${JULIA_NUM_THREADS:-1}" "$(dirname "$0")/serve.jl" "$1" &
solver=$!
ask_to_stop() {
    for state in "$1"/solvers/."$(hostname)-$solver"-*; do
        name=$(basename "$state")
        touch "$1/solvers/${name#.}.stop"
    done
}
trap 'ask_to_stop "$1"' TERM INT
# `wait` returns when the signal comes; then the solver is waited for again.
while kill -0 "$solver" 2>/dev/null; do
    wait "$solver"
    code=$?
done
exit "${code:-0}"
