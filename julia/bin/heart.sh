#!/bin/sh
# The heartbeat of one solver: heart.sh PID QUEUE WORKER VERSION. Ends when PID does.
solvers="$2/solvers"
while kill -0 "$1" 2>/dev/null; do
    if read -r state request until claim <"$solvers/.$3"; then
        quoted=null
        [ "$request" = - ] || quoted="\"$request\""
        printf '{"worker": "%s", "at": "%s", "state": "%s", "request": %s, "version": "%s"}\n' \
            "$3" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$state" "$quoted" "$4" >"$solvers/.$3.json" &&
            mv "$solvers/.$3.json" "$solvers/$3.json"
        if [ -d "$claim" ] && [ "$(date +%s)" -lt "$until" ]; then
            touch "$claim/heartbeat"
        fi
    fi
    sleep 5
done 2>/dev/null
rm -f "$solvers/$3.json" "$solvers/.$3"
