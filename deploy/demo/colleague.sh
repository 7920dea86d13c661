#!/usr/bin/env bash
# A colleague of whoever runs the demo: sees that the image may not be pulled, reads what nimble-watch says of it, and
# runs prereqs once more with the renewed key, while the install goes on waiting.
#
# Usage: colleague.sh SECONDS    (how long they read)

set -euo pipefail
# They begin at the top of the screen, and go away with the demo.
reading=${1:?how many seconds}
namespace=${NAMESPACE:-nim} release=${RELEASE:-nim}
phases=$(cd "$(dirname "$0")/../phases" && pwd)

# Both states mean that a pull has just failed; the pod is not there at first.
while :; do
    reason=$(kubectl get pods --namespace "$namespace" --selector "app.kubernetes.io/instance=$release" \
        -o 'jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}' 2>/dev/null) || reason=''
    case $reason in *ErrImagePull* | *ImagePullBackOff*) break ;; esac
    sleep 0.5
done
sleep "$reading"
printf '\n    [a colleague] The key has expired. Renewed it, and I am running: make prereqs\n\n' >&2
if words=$(NGC_API_KEY=nvapi-demo-renewed "$phases/prereqs.sh" 2>&1); then
    printf '\n    [a colleague] Done: the pull secret holds the renewed key now. The next attempt should get the image.\n\n' >&2
else
    printf '%s\n' "$words" >&2
    printf '\n    [a colleague] That did not work, see above.\n\n' >&2
    exit 1
fi
