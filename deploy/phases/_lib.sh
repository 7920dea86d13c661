# shellcheck shell=bash
# What the phases share: what they can be told, how they complain, and the questions that more than one of them asks.
#
# bash 3.2 (macOS) runs it; kubectl's templates do the reading of JSON, awk the sums.  Whatever fails says what happened,
# where, and what to try, beside the tool's own words.  Secrets travel on stdin only, never as arguments.

set -euo pipefail
# Nothing here asks a question; what would (a credential plugin whose session has expired) gets no answer instead of a wait.
exec </dev/null

# One line each, read by `make help` and by the Makefile's check of names.
: "${NAMESPACE:=nim}"                  ## the namespace of the release; prereqs makes it
: "${RELEASE:=nim}"                    ## the name of the helm release
: "${MODEL:=meta/llama-3.1-8b-instruct}" ## the model, as NVIDIA's catalogue names it
: "${IMAGE:=}"                         ## the whole image, in place of the one made from MODEL
: "${GPU_SHAPE:=}"                     ## only nodes of this shape, such as VM.GPU.A10.1; else the cheapest that fits
: "${GPU_COUNT:=1}"                    ## GPUs for the model
: "${GPU_WAIT:=no}"                    ## yes: prereqs is content when no GPU is free yet but one may come
: "${SERVICE_TYPE:=ClusterIP}"         ## LoadBalancer: an address that is reached from outside, and costs money
: "${CACHE_SIZE_GB:=100}"              ## size of the volume that keeps the model's weights
: "${KEEP_CACHE:=no}"                  ## yes: cleanup leaves that volume, and says what it costs
: "${PULL_SECRET:=ngc-secret}"         ## name of the Secret with which the image is pulled
: "${API_SECRET:=ngc-api}"             ## name of the Secret that holds NGC_API_KEY for the model's download
: "${TIMEOUT:=75m}"                    ## how long helm waits for the model; pull and load may take an hour
: "${VALUES:=}"                        ## a file of further values for the chart
: "${ENVIRONMENT:=dev}"                ## production: install and cleanup need CONFIRM_COST=yes
: "${COST_THRESHOLD_USD:=5}"           ## dearer than this per hour: install and cleanup need CONFIRM_COST=yes
: "${CONFIRM_COST:=no}"                ## yes: go ahead all the same

# shellcheck disable=SC2034  # read by the phases
readonly GPU=nvidia.com/gpu
# shellcheck disable=SC2034
readonly KEY_PAGE=https://org.ngc.nvidia.com/setup/api-keys
: "${NIMBLE_WATCH:=nimble-watch}"

phase=$(basename "$0" .sh)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
chart=$(cd "$here/../nim" && pwd)

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "$phase" "$*" >&2; }

# fail WHAT [TRY...]: what happened and where; then, a line each, what to try.
fail() {
    warn "$1"
    shift
    local hint
    for hint in "$@"; do printf '  try: %s\n' "$hint" >&2; done
    exit 1
}

# quote TEXT: the tool's own words, set in.
quote() { printf '%s\n' "$1" | sed 's/^/  | /' >&2; }

scratch=''
helper=''
# What a phase leaves running or lying about ends with it, also when it is interrupted.
at_end() {
    if [ -n "$helper" ]; then kill "$helper" 2>/dev/null || true; wait "$helper" 2>/dev/null || true; fi
    if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
    helper='' scratch=''
}
end_by() { trap - EXIT "$1"; at_end; kill -s "$1" $$; }
trap at_end EXIT
trap 'end_by INT' INT
trap 'end_by TERM' TERM
trap 'end_by HUP' HUP
make_scratch() { scratch=$(mktemp -d "${TMPDIR:-/tmp}/nim-$phase.XXXXXX"); }

yes_or_no() {
    local value
    eval "value=\$$1"
    case $value in
        yes | true | on | 1) eval "$1=yes" ;;
        no | false | off | 0 | '') eval "$1=no" ;;
        *) fail "$1 is '$value', which is neither yes nor no" "$1=yes, or leave it out" ;;
    esac
}

like() { # NAME PATTERN WHAT: the value matches the whole (extended) pattern
    local value
    eval "value=\$$1"
    printf '%s\n' "$value" | grep -Eqx -- "$2" || fail "$1 is '$value', which is not $3"
    case $value in *$'\n'*) fail "$1 has more than one line" ;; esac
}

check_settings() {
    like NAMESPACE '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?' 'the name of a namespace: small letters, digits and dashes, 63 at most'
    like RELEASE '[a-z]([-a-z0-9]{0,51}[a-z0-9])?' 'the name of a release: small letters, digits and dashes, a letter first, 53 at most'
    like MODEL '[A-Za-z0-9][A-Za-z0-9._/-]*' 'the name of a model, such as meta/llama-3.1-8b-instruct'
    # A tag that is known to be there for the model that is the default; every model has a "latest".
    case $MODEL in
        meta/llama-3.1-8b-instruct) : "${IMAGE:=nvcr.io/nim/$MODEL:1.8.6}" ;;
        *) : "${IMAGE:=nvcr.io/nim/$MODEL:latest}" ;;
    esac
    like IMAGE '[A-Za-z0-9][A-Za-z0-9._:/@-]*/[A-Za-z0-9._:/@-]+' 'a whole image name, such as nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.6'
    like GPU_SHAPE '([A-Za-z0-9][A-Za-z0-9._-]*)?' 'the name of a shape, such as VM.GPU.A10.1'
    like GPU_COUNT '[1-9][0-9]?' 'a number of GPUs from 1 to 99'
    like CACHE_SIZE_GB '[1-9][0-9]{1,4}' 'a size in GB from 10 to 99999'
    like COST_THRESHOLD_USD '[0-9]+(\.[0-9]+)?' 'an amount such as 5 or 7.50'
    like TIMEOUT '([0-9]+h)?([0-9]+m)?([0-9]+s)?' 'a duration such as 75m or 1h30m'
    like PULL_SECRET '[a-z0-9][-a-z0-9.]*' 'the name of a Secret'
    like API_SECRET '[a-z0-9][-a-z0-9.]*' 'the name of a Secret'
    like SERVICE_TYPE 'ClusterIP|LoadBalancer' 'ClusterIP or LoadBalancer'
    yes_or_no KEEP_CACHE
    yes_or_no CONFIRM_COST
    yes_or_no GPU_WAIT
    if [ -n "$VALUES" ] && [ ! -r "$VALUES" ]; then fail "VALUES names $VALUES, and there is no such file that can be read" "a path from $(pwd)"; fi
}

# --- tools -----------------------------------------------------------------------------------------------------------

need_tools() { # NAME...: each on PATH
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 && continue
        case $tool in
            kubectl) fail "kubectl is not on PATH" "install it: https://kubernetes.io/docs/tasks/tools/" \
                "without a cluster of your own: make cluster-up, and put its bin folder on PATH as it says" ;;
            helm) fail "helm is not on PATH" "install it: https://helm.sh/docs/intro/install/" \
                "without a cluster of your own: make cluster-up, and put its bin folder on PATH as it says" ;;
            *) fail "$tool is not on PATH" "make setup" ;;
        esac
    done
}

kube() { kubectl --request-timeout="${REQUEST_TIMEOUT:-20s}" "$@"; }

# --- the cluster -----------------------------------------------------------------------------------------------------

# explain_cluster SENTENCE: what to do about kubectl's own words when it cannot speak with the cluster.
explain_cluster() {
    local where=${KUBECONFIG:-$HOME/.kube/config}
    local make_one='oci ce cluster create-kubeconfig --cluster-id OCID --file ~/.kube/config --token-version 2.0.0'
    local try_one='without a cluster of your own: make cluster-up'
    quote "$1"
    case $1 in
        *'current-context is not set'* | *'no configuration has been provided'*)
            # kubectl takes a file that is not there for an empty one
            if [[ $where != *:* && ! -e $where ]]; then fail "the kubeconfig $where does not exist" "$make_one" "$try_one"; fi
            fail "there is no kubeconfig with a current context; looked at $where" "$make_one" "$try_one" ;;
        *'no such file or directory'*)
            fail "the kubeconfig $where does not exist" "$make_one" "$try_one" ;;
        *'error loading config file'* | *"couldn't get version/kind"* | *yaml:*)
            fail "the kubeconfig $where is broken" "repair the place named above, or make it anew: $make_one" ;;
        *'does not exist'* | *'context was not found'*)
            fail "the kubeconfig $where names a context that it does not hold" "kubectl config get-contexts; kubectl config use-context NAME" ;;
        *'getting credentials'*)
            fail "the command that makes the credentials of context $(context_name) failed, see above" \
                "kubectl config view --minify shows the command; run it alone" \
                "oci: is it on PATH, is ~/.oci/config there, has its session expired (oci session refresh)?" ;;
        *'must be logged in'* | *Unauthorized*)
            fail "the cluster does not accept the credentials of context $(context_name) (a token that has expired, as a rule)" \
                "oci session refresh (or oci session authenticate), then again" "kubectl config view --minify shows how the credentials are made" ;;
        *orbidden*)
            fail "the cluster knows you, and forbids it" "ask its administrator for the right named above" "kubectl auth can-i --list -n $NAMESPACE" ;;
        *'no such host'*)
            fail "the name of the API server in $where is unknown here" "is the VPN up? is the cluster still there: oci ce cluster get --cluster-id OCID" ;;
        *x509* | *certificate*)
            fail "the certificate of the API server is not trusted" "make the kubeconfig anew: $make_one" ;;
        *)
            fail "the API server at $(server_name) cannot be reached" \
                "is the cluster up, and port 6443 open from here (security list, VPN, bastion)?" "kubectl cluster-info --request-timeout=10s" ;;
    esac
}

context_name() { kubectl config current-context 2>/dev/null || printf 'none'; }
server_name() { kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null || printf 'unknown'; }

# The one question asked before any other, so that all later ones can trust the answer.
need_cluster() {
    local words
    if ! words=$(kubectl config current-context 2>&1); then explain_cluster "$words"; fi
    if ! words=$(REQUEST_TIMEOUT=10s kube get --raw /version 2>&1); then explain_cluster "$words"; fi
    # shellcheck disable=SC2034  # read by the phases
    server_version=$(printf '%s\n' "$words" | sed -n 's/.*"gitVersion": *"\([^"]*\)".*/\1/p')
}

where_we_are() {
    say "=== $phase"
    say "context    $(context_name)"
    say "server     $(server_name)"
    say "namespace  $NAMESPACE, release $RELEASE, environment $ENVIRONMENT"
}

namespace_exists() {
    local words
    if words=$(kube get namespace "$NAMESPACE" -o name 2>&1); then return 0; fi
    case $words in
        *'not found'*) return 1 ;;
        # One who may work in a namespace need not be allowed to look at it.
        *orbidden*) return 0 ;;
        *) explain_cluster "$words" ;;
    esac
}

# --- GPUs and money --------------------------------------------------------------------------------------------------

# node, shape, GPUs, ready, cordoned; of every node.
nodes_template='{{range .items}}{{.metadata.name}}{{"\t"}}{{with .metadata.labels}}{{with index . "node.kubernetes.io/instance-type"}}{{.}}{{else}}unknown{{end}}{{else}}unknown{{end}}{{"\t"}}{{with .status.allocatable}}{{with index . "nvidia.com/gpu"}}{{.}}{{else}}0{{end}}{{else}}0{{end}}{{"\t"}}{{range .status.conditions}}{{if eq .type "Ready"}}{{if eq .status "True"}}ready{{else}}not-ready{{end}}{{end}}{{end}}{{"\t"}}{{if .spec.unschedulable}}cordoned{{else}}open{{end}}{{"\n"}}{{end}}'
# node, namespace/pod, release, GPUs; a line for every container that holds some.
# shellcheck disable=SC2016  # the dollar signs are the template's
holders_template='{{range .items}}{{$pod := .}}{{range .spec.containers}}{{with .resources}}{{with .limits}}{{with index . "nvidia.com/gpu"}}{{$pod.spec.nodeName}}{{"\t"}}{{$pod.metadata.namespace}}/{{$pod.metadata.name}}{{"\t"}}{{with $pod.metadata.labels}}{{with index . "app.kubernetes.io/instance"}}{{.}}{{else}}-{{end}}{{else}}-{{end}}{{"\t"}}{{.}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}{{end}}'

# survey: fills the scratch folder with
#   nodes    node, shape, GPUs, ready|not-ready, open|cordoned
#   holders  node, namespace/pod, release, GPUs                       (empty and holders_known=no without the right to see)
#   prices   shape, USD per hour of a node, or "unpriced", and why; volume-100GB and load-balancer likewise
#   gpus     node, shape, GPUs, free, ready, cordoned, USD per hour, held by us; only nodes with GPUs, cheapest first
# What our own release holds it can have again: it gives its GPUs back before it takes new ones.
survey() {
    local words shapes
    [ -n "$scratch" ] || make_scratch
    # shellcheck disable=SC2034  # read by the phases
    nodes_known=yes holders_known=yes
    # shellcheck disable=SC2034
    if ! words=$(kube get nodes -o go-template="$nodes_template" 2>&1); then
        case $words in
            *orbidden*) nodes_known=no words='' ;;
            *) explain_cluster "$words" ;;
        esac
    fi
    printf '%s\n' "$words" | sed '/^$/d' >"$scratch/nodes"
    if ! words=$(kube get pods --all-namespaces -o go-template="$holders_template" \
        --field-selector='status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!=' 2>&1); then
        case $words in
            *orbidden*) holders_known=no words='' ;;
            *) explain_cluster "$words" ;;
        esac
    fi
    printf '%s\n' "$words" | sed '/^$/d' >"$scratch/holders"
    shapes=$( (awk -F '\t' '$3 > 0 { print $2 }' "$scratch/nodes"; printf '%s\n' "$GPU_SHAPE") | sed '/^$/d; /^unknown$/d' | sort -u)
    # One shape a line, each of them a word of its own.
    # shellcheck disable=SC2086
    if ! "$NIMBLE_WATCH" prices --tsv --volume-gb "$CACHE_SIZE_GB" --load-balancer $shapes >"$scratch/prices" 2>"$scratch/words"; then
        quote "$(cat "$scratch/words")"
        warn "prices are unknown: $NIMBLE_WATCH prices did not answer"
        : >"$scratch/prices"
    fi
    awk -F '\t' -v OFS='\t' -v own="$NAMESPACE/" -v release="$RELEASE" -v known="$holders_known" '
        FILENAME == ARGV[1] { price[$1] = $2; next }
        FILENAME == ARGV[2] { used[$1] += $4; if (index($2, own) == 1 && $3 == release) ours[$1] += $4; next }
        $3 > 0 { print $1, $2, $3, (known == "yes" ? $3 - used[$1] : "?"), $4, $5, ($2 in price ? price[$2] : "unpriced"), ours[$1] + 0 }
    ' "$scratch/prices" "$scratch/holders" "$scratch/nodes" |
        awk -F '\t' -v OFS='\t' '{ print ($7 == "unpriced" ? 999999999 : $7), $0 }' | sort -n | cut -f 2- >"$scratch/gpus"
}

price_of() { # NAME: USD per hour of a node, or "unpriced"
    awk -F '\t' -v shape="$1" '$1 == shape { print $2; found = 1 } END { if (!found) print "unpriced" }' "$scratch/prices"
}

why_unpriced() { # SHAPE
    awk -F '\t' -v shape="$1" '$1 == shape { print $3; found = 1 } END { if (!found) print "its nodes name no shape that is known" }' "$scratch/prices"
}

# fitting_shape FREE: the shape of the cheapest ready node that has (FREE=free: free now) GPU_COUNT GPUs; empty if none.
fitting_shape() {
    awk -F '\t' -v want="$GPU_COUNT" -v shape="$GPU_SHAPE" -v free="$1" '
        (shape == "" || $2 == shape) && $5 == "ready" && $6 == "open" && $3 >= want && (free != "free" || $4 == "?" || $4 + $8 >= want) {
            print $2; exit
        }' "$scratch/gpus"
}

# choose_shape: where the pod will go. Free now, else one that could be; the answer in chosen_shape, may be empty.
choose_shape() {
    chosen_shape=$(fitting_shape free)
    [ -n "$chosen_shape" ] || chosen_shape=$GPU_SHAPE
    [ -n "$chosen_shape" ] || chosen_shape=$(fitting_shape any)
}

# What a volume of this size (in whole GB) costs, as "4.25 USD a month".
volume_month() { "$NIMBLE_WATCH" prices --tsv --volume-gb "$1" | cut -f 3; }

# gate USD WHAT: production, and what is dear or of unknown price, is not touched without consent.
gate() {
    local why=''
    case $ENVIRONMENT in
        production | prod) why="ENVIRONMENT is $ENVIRONMENT" ;;
        *)
            if [ "$1" = unpriced ]; then
                why="what $2 costs per hour is unknown"
            elif awk -v usd="$1" -v most="$COST_THRESHOLD_USD" 'BEGIN { exit !(usd + 0 > most + 0) }'; then
                why="$2 costs $1 USD per hour, more than COST_THRESHOLD_USD=$COST_THRESHOLD_USD"
            fi
            ;;
    esac
    if [ -z "$why" ]; then return; fi
    if [ "$CONFIRM_COST" = yes ]; then
        say "confirmed  $why; CONFIRM_COST=yes"
        return
    fi
    fail "nothing was done, because $why" "make $phase CONFIRM_COST=yes, once you are sure that this is the right cluster"
}

release_exists() {
    local words
    if words=$(helm status "$RELEASE" --namespace "$NAMESPACE" 2>&1); then return 0; fi
    case $words in
        *'not found'*) return 1 ;;
        *) explain_cluster "$words" ;;
    esac
}

# One line of YAML a time; check_settings has seen to it that no value needs escaping.
values_for_chart() {
    printf 'image: "%s"\n' "$IMAGE"
    printf 'model: "%s"\n' "$MODEL"
    printf 'gpu: {count: %s, shape: "%s"}\n' "$GPU_COUNT" "$chosen_shape"
    printf 'pullSecret: "%s"\napiSecret: "%s"\n' "$PULL_SECRET" "$API_SECRET"
    printf 'service: {type: "%s"}\n' "$SERVICE_TYPE"
    printf 'cache: {sizeGB: %s}\n' "$CACHE_SIZE_GB"
}
chart_with_values() { # helm's arguments up to the chart: helm then reads our values from stdin, and the user's file after them
    if [ -n "$VALUES" ]; then
        values_for_chart | helm "$@" "$RELEASE" "$chart" --namespace "$NAMESPACE" --values - --values "$VALUES"
    else
        values_for_chart | helm "$@" "$RELEASE" "$chart" --namespace "$NAMESPACE" --values -
    fi
}
