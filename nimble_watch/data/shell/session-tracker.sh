#!/usr/bin/env bash
#
# The session commands of nimble-watch under one name, for scripts and by hand:
#
#   session-tracker.sh init [OPERATION]
#   session-tracker.sh start-phase PHASE
#   session-tracker.sh end-phase PHASE [STATUS]
#   session-tracker.sh log-obstacle PHASE TYPE DESCRIPTION ROOT_CAUSE FIX [DELAY_SECONDS [COST_USD]]
#   session-tracker.sh update-costs ESTIMATED_HOURLY ACTUAL_HOURLY
#   session-tracker.sh end
#   session-tracker.sh calculate-performance | summary [SESSION] | compare | list
#
# Telling what happened ends with 0 also if it could not be kept, which is said on stderr; with 2 if it was misspelt.

program=${NIMBLE_WATCH:-nimble-watch}

told() {
    if [[ $1 -eq 2 ]]; then
        exit 2
    fi
    exit 0
}

case ${1:-} in
    init | start-phase | end-phase | update-costs | end)
        "$program" session "$@" </dev/null
        told $?
        ;;
    log-obstacle)
        shift
        printf '%s\0' "$@" | "$program" session log-obstacle --stdin
        told $?
        ;;
    calculate-performance | summary | compare | list | show)
        exec "$program" session "$@"
        ;;
    *)
        sed -n 's/^#   session-tracker/session-tracker/p' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac
