"""The API server refuses the phase's own commands: not logged in, not allowed, not trusted, or nobody to log in as.

Signal: kubectl or helm says so of itself: `You must be logged in to the server`, `the server has asked for the client
to provide credentials`, `is forbidden: User "u" cannot VERB resource "R"`, `getting credentials: exec: executable oci
...`, `x509: ...`, a context, cluster or user that the kubeconfig does not have, `current-context is not set`, `error
loading config file "F": ...`; as the last words of a phase that failed, or again and again for 5 s and more while it
runs.

Near misses: a refusal that the phase got over (a right that is only nice to have); `forbidden` for another reason
(quota, pod security, an admission webhook); the log of a container whose service account may not do something; a
registry or a chart repository that refuses a login.

Verdict: grace while it is repeated, since a token may be renewed; terminal once the phase failed by it.

Fix: for a missing right, the exact role and binding; for a login, make the token or certificate new.

Source: API server, client-go and kubectl 1.20 to 1.36, helm 3 and 4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_RIGHT = re.compile(
    r'is forbidden: User "(?P<user>[^"]+)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group '
    r'"(?P<group>[^"]*)"(?: in the namespace "(?P<space>[^"]+)")?'
)
_OLD_RIGHT = re.compile(r'forbidden: User "(?P<user>[^"]+)" cannot (?P<verb>\w+) (?:path )?"?(?P<what>[^" ]+)')
_LOGIN = re.compile(
    r"You must be logged in to the server|the server has asked for the client to provide credentials"
    r"|^(?:error|Error(?: from server)?): (?:.*: )?\(?Unauthorized\)?$|Please enter Username: error",
    re.MULTILINE,
)
_PLUGIN = re.compile(
    r"getting credentials: (?:exec: executable (?P<name>\S+) )?(?P<why>[^\n]+)|exec plugin: (?P<old>.+)"
)
_TRUST = re.compile(r"(?:to the server|cluster unreachable|openapi|Get \"https?://\S+\"): .*x509: (?P<why>[^\n;]+)")
_ABSENT = re.compile(
    r"context was not found for specified context: (?P<context>\S+)|context \"(?P<named>[^\"]+)\" does not exist"
    r"|no context exists with the name: \"(?P<none>[^\"]+)\"|no server found for cluster \"(?P<cluster>[^\"]+)\""
    r"|auth info \"(?P<user>[^\"]+)\" does not exist"
)
_NONE = re.compile(r"no configuration has been provided|current-context is not set")
_BROKEN = re.compile(r"error loading config file \"(?P<file>[^\"]+)\": (?P<why>[^\n]+)")


_MAKE_ONE = "make one anew; on OKE: oci ce cluster create-kubeconfig --cluster-id OCID"


def _read(text: str) -> Told | None:
    for read in (_right, _old_right, _plugin, _trust, _login, _absent, _broken, _none):
        if (told := read(text)) is not None:
            return told
    return None


def _right(text: str) -> Told | None:
    if (found := _RIGHT.search(text)) is None:
        return None
    user, verb, space = found["user"], found["verb"], found["space"]
    resource = f"{found['resource']}.{found['group']}" if found["group"] else found["resource"]
    if "/" in found["resource"] and found["group"]:
        name, _, part = found["resource"].partition("/")
        resource = f"{name}.{found['group']}/{part}"
    where = f"in namespace {space}" if space else "in the whole cluster"
    role, at = ("role", f" -n {space}") if space else ("clusterrole", "")
    name = f"nimble-{verb}-{found['resource'].replace('/', '-')}"
    account = user.split(":")
    service = account[:2] == ["system", "serviceaccount"] and len(account) == 4  # noqa: PLR2004  its four parts
    who = f"--serviceaccount={account[2]}:{account[3]}" if service else f'--user="{user}"'
    return Told(
        summary=f"{user} may not {verb} {resource} {where}",
        cause=f"No role that is bound to {user} has the verb {verb} on {resource} {where}.",
        fix=f"Have the right granted: kubectl create {role} {name} --verb={verb} --resource={resource}{at} && "
        f"kubectl create {role}binding {name} --{role}={name} {who}{at}",
        command=f"kubectl auth can-i {verb} {resource}{at}",
        signature=f"{user} {verb} {resource} {space}",
        evidence=next((line.strip() for line in text.splitlines() if found[0] in line), ""),
    )


def _old_right(text: str) -> Told | None:
    if (found := _OLD_RIGHT.search(text)) is None:
        return None
    return Told(
        summary=f"{found['user']} may not {found['verb']} {found['what']}",
        cause=f"No role that is bound to {found['user']} allows it.",
        fix="Have whoever administers the cluster bind a role that does.",
        command=f"kubectl auth can-i {found['verb']} {found['what']}",
        signature=f"{found['user']} {found['verb']} {found['what']}",
    )


def _plugin(text: str) -> Told | None:
    if (found := _PLUGIN.search(text)) is None:
        return None
    name = found["name"] or "the credential plugin"
    if (found["why"] or "").startswith("not found"):
        fix = f"Install {name}, or put it on the PATH of this phase; the kubeconfig logs in with it."
    else:
        fix = f"Run {name} by hand as the kubeconfig does, and mend what it says; a session of OCI may be over."
    return Told(
        summary="the credentials for the cluster cannot be had",
        cause=f"The kubeconfig has {name} fetch them, which {found['why'] or found['old']}.".replace("..", "."),
        fix=fix,
        command="kubectl config view --minify -o jsonpath='{.users[0].user.exec}'",
        signature="plugin",
    )


def _trust(text: str) -> Told | None:
    if (found := _TRUST.search(text)) is None or "/v2/" in text:
        return None
    if "expired" in found["why"]:
        fix = "Renew the certificate; where it is not old, set this machine's clock."
    else:
        fix = "Make the kubeconfig new, so that it holds the certificate authority and the address of this cluster."
    return Told(
        summary="the API server's certificate is not trusted",
        cause=f"The certificate was refused: {found['why'].strip()}.",
        fix=fix,
        command="kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}'",
        signature="trust",
    )


def _login(text: str) -> Told | None:
    if _LOGIN.search(text) is None:
        return None
    return Told(
        summary="the API server does not know who this is",
        cause="The kubeconfig's token or certificate is missing, expired, or of another cluster.",
        fix="Log in anew; on OKE: oci ce cluster create-kubeconfig --cluster-id OCID, with a valid OCI session.",
        command="kubectl auth whoami",
        signature="login",
    )


def _absent(text: str) -> Told | None:
    if (found := _ABSENT.search(text)) is None:
        return None
    what = next((f"{kind} {found[kind]}" for kind in ("cluster", "user") if found[kind]), "")
    context = found["context"] or found["named"] or found["none"]
    what = f"context {context}" if context else what
    return Told(
        summary=f"the kubeconfig does not have {what}",
        cause=f"The command asked for {what}, and the kubeconfig in force does not have it.",
        fix="Use a context that is there, or set KUBECONFIG to the file that has it.",
        command="kubectl config get-contexts",
        signature="absent",
    )


def _broken(text: str) -> Told | None:
    if (found := _BROKEN.search(text)) is None:
        return None
    return Told(
        summary=f"the kubeconfig {found['file']} cannot be read",
        cause=f"The file is broken: {found['why'].strip()}.",
        fix=f"Repair the place that is named, or {_MAKE_ONE}.",
        command="kubectl config view",
        signature="broken",
    )


def _none(text: str) -> Told | None:
    if _NONE.search(text) is None:
        return None
    return Told(
        summary="there is no kubeconfig with a current context",
        cause="Neither KUBECONFIG nor ~/.kube/config says which cluster the command is to speak with.",
        fix=f"Set KUBECONFIG to the file that does, name a context (kubectl config use-context NAME), or {_MAKE_ONE}.",
        command="kubectl config get-contexts",
        signature="none",
    )


says = said_by_tool(_read)
RULE = printed_rule("api-auth", "config-error", 8, _read, retried=True)
