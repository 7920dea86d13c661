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

extra=$(awk -v volume="$(volume_month "$CACHE_SIZE_GB")" -v balancer="$BALANCER_USD_PER_HOUR" -v type="$SERVICE_TYPE" \
    'BEGIN { printf "%.4f", volume / 744 + (type == "LoadBalancer" ? balancer : 0) }')
node_price=unpriced
if [ -n "$chosen_shape" ]; then node_price=$(price_of "$chosen_shape"); fi
if [ "$node_price" = unpriced ]; then
    cost=unpriced
    say "costs      unpriced: ${chosen_shape:-no GPU node is known}${chosen_shape:+, $(why_unpriced "$chosen_shape")}"
else
    cost=$(awk -v node="$node_price" -v extra="$extra" 'BEGIN { printf "%.2f", node + extra }')
    say "costs      $cost USD per hour: $node_price for a node of $chosen_shape, $extra for volume$([ "$SERVICE_TYPE" = LoadBalancer ] && printf ' and load balancer')"
fi
gate "$cost" "a node of ${chosen_shape:-a shape not known yet} with its volume"

pending=$(helm list --namespace "$NAMESPACE" --pending --filter "^$RELEASE\$" --short 2>&1) || explain_cluster "$pending"
if [ -n "$pending" ]; then
    fail "helm says that another install of $RELEASE in $NAMESPACE is under way, or was broken off" \
        "if nobody is at it: helm rollback $RELEASE -n $NAMESPACE; if it was the first install: make cleanup" "helm history $RELEASE -n $NAMESPACE"
fi

say "installs   $IMAGE with $GPU_COUNT GPU(s)${chosen_shape:+ on $chosen_shape}; waits at most $TIMEOUT"
if ! chart_with_values upgrade --install --wait --timeout "$TIMEOUT"; then
    fail "helm did not get $RELEASE in namespace $NAMESPACE ready; its own words stand above" \
        "nimble-watch check -n $NAMESPACE" "kubectl describe pods -n $NAMESPACE -l app.kubernetes.io/instance=$RELEASE" \
        "what stands now costs money until: make cleanup"
fi
say "installed  $RELEASE"
