#!/usr/bin/env bash
# Does it serve?  The roll-out is complete, the model is listed, and a question is answered, through a port of this
# machine that is forwarded to the Service, and through the load balancer's address where there is one.

source "$(dirname "$0")/_lib.sh"
check_settings
need_tools kubectl
python=${PYTHON:-python3}
if [ -x "$(dirname "$NIMBLE_WATCH")/python" ]; then python=$(dirname "$NIMBLE_WATCH")/python; fi
need_tools "$python"
need_cluster
where_we_are

in_namespace() { kube --namespace "$NAMESPACE" "$@"; }
if ! words=$(in_namespace get deployment "$RELEASE" -o name 2>&1); then
    case $words in
        *'not found'*) fail "there is no release $RELEASE in namespace $NAMESPACE to verify" "make install" ;;
        *) explain_cluster "$words" ;;
    esac
fi
kubectl rollout status "deployment/$RELEASE" --namespace "$NAMESPACE" --timeout=5m ||
    fail "the roll-out of $RELEASE in namespace $NAMESPACE is not complete" \
        "kubectl describe pods -n $NAMESPACE -l app.kubernetes.io/instance=$RELEASE"

make_scratch
kubectl port-forward "service/$RELEASE" :http --address 127.0.0.1 --namespace "$NAMESPACE" >"$scratch/forward" 2>&1 </dev/null &
helper=$!
port=''
for _ in $(seq 150); do
    port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$scratch/forward" | head -n 1)
    if [ -n "$port" ] || ! kill -0 "$helper" 2>/dev/null; then break; fi
    sleep 0.2
done
if [ -z "$port" ]; then
    quote "$(cat "$scratch/forward")"
    fail "no port could be forwarded to the service $RELEASE in namespace $NAMESPACE" \
        "kubectl auth can-i create pods/portforward -n $NAMESPACE" "is there a ready pod: kubectl get pods -n $NAMESPACE"
fi
say "asks       http://127.0.0.1:$port, forwarded to the service $RELEASE"
"$python" "$here/_ask.py" "http://127.0.0.1:$port" --within 60 ||
    fail "the model did not answer through the forwarded port" "kubectl logs -n $NAMESPACE deployment/$RELEASE --tail=50"
kill "$helper" 2>/dev/null || true
wait "$helper" 2>/dev/null || true
helper=''

if [ "$(in_namespace get service "$RELEASE" -o 'jsonpath={.spec.type}')" = LoadBalancer ]; then
    address=''
    for _ in $(seq 150); do
        address=$(in_namespace get service "$RELEASE" -o 'jsonpath={.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}')
        if [ -n "$address" ]; then break; fi
        sleep 2
    done
    if [ -z "$address" ]; then
        in_namespace get events --field-selector "involvedObject.kind=Service,involvedObject.name=$RELEASE" >&2 || true
        fail "the service $RELEASE in namespace $NAMESPACE has had no external address for five minutes" "kubectl describe service $RELEASE -n $NAMESPACE"
    fi
    port=$(in_namespace get service "$RELEASE" -o 'jsonpath={.spec.ports[0].port}')
    say "asks       http://$address:$port, the load balancer"
    "$python" "$here/_ask.py" "http://$address:$port" --within 180 ||
        fail "the model answers inside the cluster, but not at the load balancer's address $address:$port" \
            "does the subnet's security list let port $port in?" "kubectl describe service $RELEASE -n $NAMESPACE"
fi
say "verified   $RELEASE serves"
