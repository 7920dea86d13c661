# shellcheck shell=bash
#
# nimble-watch for bash: source this file and call its functions.
#
#   init_session [OPERATION]       begin a session; what is told from here on belongs to it, and other shells leave it be
#   start_phase PHASE              end_phase PHASE [STATUS]
#   log_obstacle PHASE TYPE DESCRIPTION ROOT_CAUSE FIX [DELAY_SECONDS [COST_USD]]
#   track_session_costs ESTIMATED_HOURLY ACTUAL_HOURLY
#   end_session                    final figures, the summary, one line of history
#   with_timeout_and_obstacle_tracking SECONDS WHAT PHASE COMMAND...
#   check_kubectl_connection       1 if the cluster does not answer, which is logged
#   log_success TEXT
#
# For bash 3.2 and newer, under any shell options; sets none, and no trap.  What goes wrong in keeping the session is said
# on stderr and never ends a script: only with_timeout_and_obstacle_tracking and check_kubectl_connection can fail.

# Tell whether the program is there, and say once if it is not.
_nimble_watch_there() {
    if command -v -- "${NIMBLE_WATCH:-nimble-watch}" >/dev/null 2>&1; then
        return 0
    fi
    if [[ -z ${_nimble_watch_missed:-} ]]; then
        _nimble_watch_missed=yes
        printf '%s is not on PATH: nothing is recorded; install it, or set NIMBLE_WATCH\n' "${NIMBLE_WATCH:-nimble-watch}" >&2
    fi
    return 1
}

_nimble_watch_tell() {
    "${NIMBLE_WATCH:-nimble-watch}" session "$@" || return 0
}

init_session() {
    local id
    _nimble_watch_there || return 0
    id=$(NIMBLE_WATCH_SHELL=$$ "${NIMBLE_WATCH:-nimble-watch}" session init "$@" </dev/null) || return 0
    export NIMBLE_WATCH_SESSION="$id"
    printf 'began %s\n' "$id"
}

end_session() {
    _nimble_watch_there || return 0
    _nimble_watch_tell end </dev/null
    unset NIMBLE_WATCH_SESSION
}

start_phase() {
    _nimble_watch_there || return 0
    _nimble_watch_tell start-phase "$@" </dev/null
}

end_phase() {
    _nimble_watch_there || return 0
    _nimble_watch_tell end-phase "$@" </dev/null
}

# The fields go through a pipe: a command line would show them to everybody and could not hold a long one.
log_obstacle() {
    _nimble_watch_there || return 0
    { printf '%s\0' "$@" 2>/dev/null || :; } | _nimble_watch_tell log-obstacle --stdin || return 0
}

track_session_costs() {
    _nimble_watch_there || return 0
    _nimble_watch_tell update-costs "$@" </dev/null
}

# Scripts that have a function of this name keep it.
if ! declare -F log_success >/dev/null; then
    log_success() {
        printf '[SUCCESS] %s\n' "$*"
    }
fi

# A tenth of a cent per second, as bc prints it with three places.
_nimble_watch_cost() {
    printf '%d.%03d' "$(($1 / 1000))" "$(($1 % 1000))"
}

check_kubectl_connection() {
    local began delay
    began=$(date +%s)
    if kubectl cluster-info --request-timeout=30s >/dev/null 2>&1; then
        return 0
    fi
    delay=$(($(date +%s) - began))
    log_obstacle "discover" "network-timeout" \
        "kubectl connection failed" \
        "Network connectivity issue" \
        "Check firewall and security groups" \
        "$delay" "$(_nimble_watch_cost "$delay")"
    return 1
}

with_timeout_and_obstacle_tracking() {
    if [[ $# -lt 4 ]]; then
        printf 'with_timeout_and_obstacle_tracking takes SECONDS WHAT PHASE COMMAND...; got %d words\n' $# >&2
        return 2
    fi
    local limit="$1" what="$2" phase="$3" limiter=timeout began duration status=0 IFS=' '
    shift 3
    if ! command -v timeout >/dev/null 2>&1; then
        limiter=gtimeout # its name where coreutils are not the system's own
    fi
    began=$(date +%s)
    "$limiter" "$limit" bash -c "$*" || status=$?
    duration=$(($(date +%s) - began))
    if [[ $status -eq 0 ]]; then
        log_success "$what completed in ${duration}s"
    elif [[ $status -eq 124 ]]; then
        log_obstacle "$phase" "timeout" \
            "$what stalled after ${limit}s" \
            "Operation exceeded timeout threshold" \
            "Increase timeout or optimize operation" \
            "$duration" "$(_nimble_watch_cost "$duration")"
    else
        log_obstacle "$phase" "execution-error" \
            "$what failed with exit code $status" \
            "Command execution error" \
            "Check command syntax and dependencies" \
            "$duration" "$(_nimble_watch_cost "$duration")"
    fi
    return "$status"
}
