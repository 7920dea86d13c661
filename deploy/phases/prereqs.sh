#!/usr/bin/env bash
# Everything that install needs, looked at before anything is paid for: tools, rights, namespace, the NGC key and its
# two Secrets, a GPU that fits, and whether the API server would let the pod in.  Goes on after a finding, to tell all.

source "$(dirname "$0")/_lib.sh"
check_settings
need_tools kubectl helm "$NIMBLE_WATCH"
need_cluster
where_we_are

missing=''
good() { say "ok         $*"; }
# lack WHAT [TRY...]: one thing that is missing.
lack() {
    missing="$missing${missing:+; }$1"
    warn "missing: $1"
    shift
    local hint
    for hint in "$@"; do printf '  try: %s\n' "$hint" >&2; done
}

# --- tools

client=$(kubectl version --client 2>/dev/null | sed -n 's/^Client Version: //p')
helm_version=$(helm version --template '{{.Version}}' 2>/dev/null)
minor() { printf '%s' "$1" | sed -n 's/^v\{0,1\}\([0-9]*\)\.\([0-9]*\).*/\2/p'; }
case $helm_version in
    v3.* | v4.*) good "kubectl ${client:-of unknown version}, helm $helm_version" ;;
    *) lack "a helm of version 3 or 4: this one says '${helm_version:-nothing}'" "https://helm.sh/docs/intro/install/" ;;
esac
client_minor=$(minor "$client") server_minor=$(minor "${server_version:-}")
if [ -n "$client_minor" ] && [ -n "$server_minor" ]; then
    skew=$((client_minor - server_minor))
    if [ "${skew#-}" -gt 1 ]; then
        warn "kubectl $client and the server $server_version are more than one version apart; what goes wrong may come from that"
    fi
fi

# --- namespace, since rights are asked for in it

if namespace_exists; then
    good "namespace $NAMESPACE"
elif words=$(kube create namespace "$NAMESPACE" 2>&1); then
    good "namespace $NAMESPACE, made now"
else
    quote "$words"
    fail "the namespace $NAMESPACE does not exist and could not be made" \
        "ask the cluster's administrator: kubectl create namespace $NAMESPACE" "or choose one that is there: make prereqs NAMESPACE=NAME"
fi

# --- rights

# What `kubectl auth can-i` asks, all at once: with a kubeconfig of OKE's every kubectl takes a second to get its token.
reviews() {
    local verb resource
    while read -r verb resource; do
        printf -- '---\napiVersion: authorization.k8s.io/v1\nkind: SelfSubjectAccessReview\nspec: {resourceAttributes: {namespace: %s, verb: %s, %s}}\n' \
            "$NAMESPACE" "$verb" "$resource"
    done <<'RIGHTS'
create group: apps, resource: deployments
patch group: apps, resource: deployments
delete group: apps, resource: deployments
create resource: services
delete resource: services
create resource: persistentvolumeclaims
delete resource: persistentvolumeclaims
get resource: secrets
create resource: secrets
patch resource: secrets
delete resource: secrets
list resource: pods
create resource: pods
create resource: pods, subresource: portforward
RIGHTS
}
answer='{{with .spec.resourceAttributes}}{{.verb}} {{.resource}}{{with .subresource}}/{{.}}{{end}}{{end}}{{"\t"}}{{.status.allowed}}{{"\n"}}'
if ! words=$(reviews | kube create --validate=false -o go-template="$answer" -f - 2>&1); then explain_cluster "$words"; fi
denied=$(printf '%s\n' "$words" | awk -F '\t' '$2 == "false" { printf "%s%s", (n++ ? ", " : ""), $1 }')
if [ -n "$denied" ]; then
    lack "the right to $denied in namespace $NAMESPACE" \
        "ask the cluster's administrator for the role edit there: kubectl create rolebinding nim-edit --clusterrole=edit --user=YOU -n $NAMESPACE" \
        "kubectl auth can-i --list -n $NAMESPACE"
else
    good "rights to install, forward and clean up in $NAMESPACE"
fi

# --- NGC key and Secrets

# A Secret is ours, and may be replaced, when it carries this label; one that somebody else made is used as it is.
readonly OURS=app.kubernetes.io/managed-by=nimble-watch
# Says nothing when it is not there, else: ours|theirs, its type, the names of its keys.  The values are never printed.
# shellcheck disable=SC2016  # the dollar signs are the template's
secret_template='{{with .metadata.labels}}{{if eq (printf "%s" (index . "app.kubernetes.io/managed-by")) "nimble-watch"}}ours{{else}}theirs{{end}}{{else}}theirs{{end}} {{.type}}{{range $key, $value := .data}} {{$key}}{{end}}'
look_at_secret() {
    local words
    if words=$(kube get secret "$1" --namespace "$NAMESPACE" -o go-template="$secret_template" 2>&1); then
        printf '%s' "$words"
    else
        case $words in
            *'not found'*) ;;
            *orbidden*) printf 'forbidden' ;;
            *) printf 'failed %s' "$words" ;;
        esac
    fi
}
encoded() { base64 | tr -d '\n'; }
# put_secret NAME TYPE KEY: the value comes on stdin, and goes to kubectl on stdin.
# Applied by the server, since kubectl's own way would leave the value in an annotation.
put_secret() {
    local value
    value=$(encoded)
    printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  labels: {%s}\ntype: %s\ndata: {%s: %s}\n' \
        "$1" "$(printf '%s' "$OURS" | sed 's/=/: /')" "$2" "$3" "$value" |
        kube apply --server-side --force-conflicts --field-manager=nimble-watch --namespace "$NAMESPACE" -f - >/dev/null
}
registry=${IMAGE%%/*}
pull_secret_content() {
    local pair
    # The user name is this very text, dollar sign included.
    # shellcheck disable=SC2016
    pair=$(printf '$oauthtoken:%s' "$key" | encoded)
    # shellcheck disable=SC2016
    printf '{"auths":{"%s":{"username":"$oauthtoken","password":"%s","auth":"%s"}}}' "$registry" "$key" "$pair"
}

key=${NGC_API_KEY:-}
# What is started from here on needs no key.
unset NGC_API_KEY
how_to_get="a key: $KEY_PAGE (with the service NGC Catalog)"
how_to_give='read -rs NGC_API_KEY; export NGC_API_KEY; then again'
case $key in
    '') ;;
    *[!A-Za-z0-9_=+/.-]*)
        lack "an NGC key that is one: NGC_API_KEY contains a character that no key has, perhaps a quote or a line's end copied with it" \
            "$how_to_give"
        key=''
        ;;
    nvapi-?* | ????????????????????????????????????????*) ;;
    *) warn "NGC_API_KEY neither begins with nvapi- nor is as long as the older keys; the registry may refuse it" ;;
esac

want_secret() { # NAME TYPE KEY WHAT
    local there
    there=$(look_at_secret "$1")
    case $there in
        forbidden)
            warn "you have no right to look at the Secret $1 in $NAMESPACE; whether it is right, only the pull will show"
            return
            ;;
        failed*) explain_cluster "${there#failed }" ;;
    esac
    if [ -n "$key" ] && { [ -z "$there" ] || [ "${there%% *}" = ours ]; }; then
        local words
        if [ "$3" = .dockerconfigjson ]; then
            words=$(pull_secret_content | put_secret "$1" "$2" "$3" 2>&1) || { quote "$words"; lack "the Secret $1, which could not be written"; return; }
        else
            words=$(printf '%s' "$key" | put_secret "$1" "$2" "$3" 2>&1) || { quote "$words"; lack "the Secret $1, which could not be written"; return; }
        fi
        good "Secret $1 with $4, from NGC_API_KEY"
        return
    fi
    local words_of_it=" ${there#* } "
    if [ -z "$there" ]; then
        lack "NGC_API_KEY, and a Secret $1 with $4 in namespace $NAMESPACE" "$how_to_get" "$how_to_give"
    elif [ "${words_of_it#" $2 "}" != "$words_of_it" ] && [ "${words_of_it#*" $3 "}" != "$words_of_it" ]; then
        good "Secret $1 with $4, as it was there${key:+ (made by somebody else, so NGC_API_KEY does not replace it)}"
    else
        lack "a Secret $1 of type $2 with the key $3: the one in $NAMESPACE is '${there#* }'" \
            "if nobody needs it: kubectl delete secret $1 -n $NAMESPACE; then again with NGC_API_KEY set" "or another name: PULL_SECRET=..., API_SECRET=..."
    fi
}
want_secret "$PULL_SECRET" kubernetes.io/dockerconfigjson .dockerconfigjson "the right to pull from $registry"
want_secret "$API_SECRET" Opaque NGC_API_KEY "the key for the model's download"
key=''

# --- a GPU that fits

survey
if [ "$nodes_known" = no ]; then
    chosen_shape=$GPU_SHAPE
    warn "you have no right to list nodes, so whether a GPU is free cannot be said"
else
    choose_shape
    if [ -n "$(fitting_shape free)" ]; then
        good "$GPU_COUNT GPU(s) to be had on $chosen_shape, $(price_of "$chosen_shape") USD per hour and node"
        if [ "$holders_known" = no ]; then warn "free or not is a guess: you have no right to list pods in all namespaces"; fi
    else
        offered=$(awk -F '\t' '{ printf "%s%s of %s on %s", (NR > 1 ? ", " : ""), $4, $3, $1 " (" $2 (($5 == "ready" && $6 == "open") ? "" : ", " ($6 == "cordoned" ? $6 : $5)) ")" }' "$scratch/gpus")
        held=$(awk -F '\t' '{ printf "%s%s (%s)", (NR > 1 ? ", " : ""), $2, $4 }' "$scratch/holders")
        what="$GPU_COUNT free GPU(s)${GPU_SHAPE:+ of $GPU_SHAPE}: free now are ${offered:-none, as no node offers $GPU}"
        if [ "$GPU_WAIT" = yes ]; then
            warn "$what; going on, as GPU_WAIT=yes says that one will come"
        else
            lack "$what${held:+; held by $held}" \
                "another shape or fewer GPUs: GPU_SHAPE=..., GPU_COUNT=..." \
                "if a pool grows by itself, or a holder is about to end: GPU_WAIT=yes" \
                "a larger pool: oci ce node-pool update --node-pool-id OCID --size N"
        fi
    fi
fi

# --- would the pod be let in? The API server itself says so: quota, limits, pod security, webhooks.

# A namespace a moment old has no service account yet.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    if kube get serviceaccount default --namespace "$NAMESPACE" >/dev/null 2>&1; then break; fi
    sleep 0.5
done
if ! manifest=$(chart_with_values template --set admissionCheck=true 2>&1); then
    quote "$manifest"
    lack "values that the chart accepts" "look at VALUES${VALUES:+ ($VALUES)}; deploy/nim/values.yaml explains them"
elif words=$(printf '%s\n' "$manifest" | kube create --dry-run=server --namespace "$NAMESPACE" -f - 2>&1 >/dev/null); then
    good "the API server would let the pod in (quota, limits, pod security)"
    if [ -n "$words" ]; then quote "$words"; fi
else
    case $words in
        *'cannot create resource "pods"'*) warn "whether the API server would let the pod in cannot be said without the right to create pods" ;;
        *'exceeded quota'*)
            if kube get deployment "$RELEASE" --namespace "$NAMESPACE" -o name >/dev/null 2>&1; then
                warn "the quota has no room for a second pod; the release's own pod leaves before its successor comes, so this may be enough"
                quote "$words"
            else
                quote "$words"
                lack "room in the quota of namespace $NAMESPACE" \
                    "kubectl describe resourcequota -n $NAMESPACE" "remove what is no longer needed there, or have the quota raised"
            fi
            ;;
        *LimitRange* | *'usage per'* | *'must specify'*)
            quote "$words"
            lack "a pod that the limits of namespace $NAMESPACE allow" "kubectl describe limitrange,resourcequota -n $NAMESPACE" \
                "other sizes in a file named by VALUES: resources.requests, resources.limits"
            ;;
        *)
            quote "$words"
            lack "a pod that namespace $NAMESPACE lets in" "the sentence above names the rule; its owner can change it, or VALUES the pod"
            ;;
    esac
fi
if [ "$(kube get storageclass oci-bv -o name 2>/dev/null)" = '' ] && [ "$(kube auth can-i get storageclasses.storage.k8s.io 2>/dev/null)" = yes ] &&
    printf '%s' "${manifest:-}" | grep -q 'claimName:'; then
    if ! grep -qs storageClass "${VALUES:-/dev/null}"; then
        lack "the storage class oci-bv for the model cache" "kubectl get storageclass; then cache: {storageClass: NAME} in a file named by VALUES"
    fi
fi

# The last line is what a session keeps as evidence, so it names everything once more.
if [ -n "$missing" ]; then fail "nothing was installed, as there is missing: $missing"; fi
say "ready      make install"
