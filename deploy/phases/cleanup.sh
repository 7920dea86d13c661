#!/usr/bin/env bash
# Takes the release away: its pods and their GPUs, its load balancer, and its volume unless KEEP_CACHE=yes.  Touches
# nothing that is not the release's own, and names what stays behind and what that costs.

source "$(dirname "$0")/_lib.sh"
check_settings
need_tools kubectl helm "$NIMBLE_WATCH"
need_cluster
where_we_are
if ! namespace_exists; then
    say "nothing    the namespace $NAMESPACE does not exist, so there is nothing to clean up"
    exit 0
fi
mine="app.kubernetes.io/name=nim,app.kubernetes.io/instance=$RELEASE"
in_namespace() { kube --namespace "$NAMESPACE" "$@"; }

survey
# What the release holds: the nodes of its pods, each once.
awk -F '\t' -v own="$NAMESPACE/" -v release="$RELEASE" 'index($2, own) == 1 && $3 == release { print $1 }' "$scratch/holders" | sort -u >"$scratch/held"
awk -F '\t' 'FILENAME == ARGV[1] { held[$1] = 1; next } $1 in held' "$scratch/held" "$scratch/gpus" >"$scratch/held-gpus"
cost=$(awk -F '\t' '$7 == "unpriced" { gap = 1 } { sum += $7 } END { if (gap) print "unpriced"; else printf "%.2f", sum }' "$scratch/held-gpus")
if [ -s "$scratch/held-gpus" ]; then
    say "costs      $cost USD per hour: $(awk -F '\t' '{ printf "%s%s (%s)", (NR > 1 ? ", " : ""), $1, $2 }' "$scratch/held-gpus") hold(s) its pods"
else
    say "costs      0.00 USD per hour for GPUs: no pod of $RELEASE holds one that can be seen"
fi
gate "$cost" "what $RELEASE holds"

# Claims and the volumes behind them, noted before they go: name, volume, size, what becomes of it.
in_namespace get persistentvolumeclaims --selector "$mine" -o \
    go-template='{{range .items}}{{.metadata.name}}{{"\t"}}{{with .spec.volumeName}}{{.}}{{else}}-{{end}}{{"\t"}}{{.spec.resources.requests.storage}}{{"\n"}}{{end}}' \
    >"$scratch/claims" || fail "the claims of $RELEASE in namespace $NAMESPACE cannot be listed, so none was touched" "kubectl auth can-i list persistentvolumeclaims -n $NAMESPACE"

if release_exists; then
    helm uninstall "$RELEASE" --namespace "$NAMESPACE" --wait --timeout 10m ||
        fail "helm could not take $RELEASE in namespace $NAMESPACE away; its own words stand above" "make cleanup again" "kubectl get all -n $NAMESPACE -l $mine"
else
    say "release    there is no helm release $RELEASE in $NAMESPACE"
fi

# gone KIND: nothing of this kind is left of the release.
gone() {
    local words
    if ! words=$(kubectl wait --for=delete "$1" --selector "$mine" --namespace "$NAMESPACE" --timeout=10m 2>&1); then
        case $words in *'no matching resources'*) return ;; esac
        quote "$words"
        fail "a $1 of $RELEASE in namespace $NAMESPACE is still there after ten minutes, and may cost money" \
            "kubectl describe $1 -n $NAMESPACE -l $mine" "make cleanup again"
    fi
}
gone pod
# With its finalizer gone the cloud's load balancer is, too.
gone service

gigabytes() { # 100Gi: 107.4, as the volume is billed in GB
    awk -v size="$1" 'BEGIN {
        number = size + 0; unit = size; sub(/^[0-9.]+/, "", unit)
        factor["Gi"] = 1; factor["G"] = 1; factor["Ti"] = 1024; factor["T"] = 1000; factor["Mi"] = 1 / 1024; factor["M"] = 1 / 1000
        printf "%.0f", (unit in factor) ? number * factor[unit] : number / 1e9 }'
}
retained=''
while IFS=$'\t' read -r claim volume size; do
    if [ "$KEEP_CACHE" = yes ]; then
        say "kept       claim $claim ($size): $(volume_month "$(gigabytes "$size")"), until: make cleanup, or kubectl delete pvc $claim -n $NAMESPACE"
        continue
    fi
    policy=''
    if [ "$volume" != - ]; then policy=$(kube get persistentvolume "$volume" -o 'jsonpath={.spec.persistentVolumeReclaimPolicy}' 2>/dev/null) || policy=unknown; fi
    in_namespace delete persistentvolumeclaim "$claim" --wait=false >/dev/null ||
        fail "the claim $claim in namespace $NAMESPACE could not be deleted, and its volume costs $(volume_month "$(gigabytes "$size")")" \
            "kubectl delete pvc $claim -n $NAMESPACE"
    case $policy in
        Delete)
            kubectl wait --for=delete "persistentvolume/$volume" --timeout=10m >/dev/null 2>"$scratch/words" || {
                if ! grep -q 'not found' "$scratch/words"; then
                    quote "$(cat "$scratch/words")"
                    fail "the volume $volume is still there after ten minutes, and costs $(volume_month "$(gigabytes "$size")")" "kubectl describe pv $volume"
                fi
            }
            say "deleted    claim $claim and its volume ($size)"
            ;;
        Retain)
            retained=yes
            say "kept       volume $volume ($size): its reclaim policy is Retain, so it costs $(volume_month "$(gigabytes "$size")") until it is deleted in OCI, too"
            ;;
        unknown) say "deleted    claim $claim; you have no right to see whether its volume $volume ($size) went with it" ;;
        *) say "deleted    claim $claim, which had no volume yet" ;;
    esac
done <"$scratch/claims"
gone_claims() { [ "$KEEP_CACHE" = yes ] || gone persistentvolumeclaim; }
gone_claims

for secret in "$PULL_SECRET" "$API_SECRET"; do
    if in_namespace get secret "$secret" -o name >/dev/null 2>&1; then
        say "kept       Secret $secret, which costs nothing and may serve another release: kubectl delete secret $secret -n $NAMESPACE"
    fi
done
if [ -s "$scratch/gpus" ]; then
    say "standing   GPU nodes of the cluster: $(awk -F '\t' '$7 == "unpriced" { gaps++; next } { sum += $7 } END { printf "%s%.2f", (gaps ? "at least " : ""), sum }' "$scratch/gpus") USD per hour, in use or not, until their pool is made smaller: oci ce node-pool update --node-pool-id OCID --size N"
fi
say "clean      $RELEASE is gone from $NAMESPACE${retained:+, but for the volume named above}"
