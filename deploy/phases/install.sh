#!/usr/bin/env bash
# Brings the NIM up with helm and waits until it is ready.  Says first where, and for how many dollars an hour.

source "$(dirname "$0")/_lib.sh"
check_settings
need_tools kubectl helm "$NIMBLE_WATCH"
need_cluster
where_we_are
if ! namespace_exists; then fail "the namespace $NAMESPACE does not exist" "make prereqs, which makes it"; fi
survey
choose_shape

volume_price=$(price_of "volume-${CACHE_SIZE_GB}GB")
balancer_price=0
if [ "$SERVICE_TYPE" = LoadBalancer ]; then balancer_price=$(price_of load-balancer); fi
node_price=unpriced
if [ -n "$chosen_shape" ]; then node_price=$(price_of "$chosen_shape"); fi
if [ "$node_price" = unpriced ]; then
    cost=unpriced
    parts="${chosen_shape:-no GPU node is known}${chosen_shape:+, $(why_unpriced "$chosen_shape")}"
    say "costs      unpriced: $parts"
else
    cost=$(awk -v node="$node_price" -v volume="$volume_price" -v balancer="$balancer_price" 'BEGIN { printf "%.2f", node + volume + balancer }')
    parts="$node_price for a node of $chosen_shape, $volume_price for the volume"
    if [ "$SERVICE_TYPE" = LoadBalancer ]; then parts="$parts, $balancer_price for the load balancer"; fi
    say "costs      $cost USD per hour: $parts"
fi
gate "$cost" "a node of ${chosen_shape:-a shape not known yet} with its volume"
# The session holds this plan against what will have stood there; without a session there is nobody to tell.
if [ -n "${NIMBLE_WATCH_SESSION:-}" ]; then
    "$NIMBLE_WATCH" session plan-costs "$cost" "$parts" || warn "the session does not know of this plan, see above"
fi

pending=$(helm list --namespace "$NAMESPACE" --pending --filter "^$RELEASE\$" --short 2>&1) || explain_cluster "$pending"
if [ -n "$pending" ]; then
    fail "helm says that another install of $RELEASE in $NAMESPACE is under way, or was broken off" \
        "if nobody is at it: helm rollback $RELEASE -n $NAMESPACE; if it was the first install: make cleanup" "helm history $RELEASE -n $NAMESPACE"
fi

say "installs   $IMAGE with $GPU_COUNT GPU(s)${chosen_shape:+ on $chosen_shape}; waits at most $TIMEOUT"
if ! chart_with_values upgrade --install --wait --timeout "$TIMEOUT"; then
    fail "helm did not get $RELEASE in namespace $NAMESPACE ready; its own words stand above" \
        "kubectl describe pods -n $NAMESPACE -l app.kubernetes.io/instance=$RELEASE" \
        "what stands now costs money until: make cleanup"
fi
say "installed  $RELEASE"
