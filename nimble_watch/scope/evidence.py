"""What a command line says about the objects that a phase works on.

A phase is any command: kubectl, helm, make, a script.  What it works on shows in its own words, so those are read: the
arguments of kubectl and helm here, also inside `sh -c`; what they print in `printed`.  Words that a shell has yet to
fill in (`$NS`) say nothing and are skipped; a dry run acts upon nothing.
Forms: kubectl 1.36, helm 3 and 4.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from msgspec import Struct


class Named(Struct, frozen=True):
    """An object is called by its name; without a namespace it is the one that the command works in."""

    kind: str
    name: str
    namespace: str = ""


class Release(Struct, frozen=True):
    """A helm release is called by its name."""

    name: str
    namespace: str = ""


class Selected(Struct, frozen=True):
    """Objects are called by their labels (none: all of that kind); without a kind, of every kind."""

    labels: tuple[tuple[str, str], ...]
    kind: str = ""
    namespace: str = ""


class Working(Struct, frozen=True):
    """A kubectl or helm command works in a namespace (without one: that of the kubeconfig's context)."""

    namespace: str = ""


Evidence = Named | Release | Selected | Working

KINDS = {
    word: kind
    for kind, words in {
        "Pod": "pod pods po",
        "Deployment": "deployment deployments deploy",
        "ReplicaSet": "replicaset replicasets rs",
        "StatefulSet": "statefulset statefulsets sts",
        "DaemonSet": "daemonset daemonsets ds",
        "Job": "job jobs",
        "PersistentVolumeClaim": "persistentvolumeclaim persistentvolumeclaims pvc",
        "Service": "service services svc",
    }.items()
    for word in words.split()
}
"""The words by which kubectl knows the namespaced kinds that are watched."""

NAME = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
_VALID = re.compile(NAME)
_SEPARATORS = frozenset((";", "&&", "||", "|", "&", "(", ")", "\n", "|&", ";;"))
KUBECTL = frozenset(("kubectl", "oc", "kubecolor"))
HELM = frozenset(("helm", "helm3", "helm4"))
SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ash", "ksh"))
LINE = 4096
"""The longest line, in characters, that is looked at whole."""
_QUOTING = frozenset(("echo", "printf", "grep", "cat", "man", "which", "command", "type"))
_DEPTH = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KUBECTL_VALUES = _words(
    "-n --namespace -l --selector -f --filename -k --kustomize --context --kubeconfig --for --timeout -o --output -c"
    " --container --field-selector -p --patch --type --image --replicas --to-revision --revision --grace-period"
    " --cluster --user --server -s --token --as --since --tail --request-timeout --field-manager --port --target-port"
    " --current-replicas --cascade --overrides --restart --env --from --schedule --sort-by --chunk-size -L --patch-file"
    " --limits --requests --address --pod-running-timeout --max --min --cpu-percent --prune-allowlist --applyset"
    " --as-group --as-uid --cache-dir --certificate-authority --client-certificate --client-key --tls-server-name"
    " --username --password --subresource --since-time --max-log-requests --rule --tcp --clusterip --message"
    " --dry-run-namespace --label-columns --template -v --v --kind --class --serviceaccount --labels --name"
)
_HELM_VALUES = _words(
    "-n --namespace -f --values --set --set-string --set-json --set-file --set-literal --version --timeout"
    " --kube-context --kubeconfig --repo --description --history-max --kube-apiserver --kube-token --kube-as-user"
    " --username --password --ca-file --cert-file --key-file --keyring --post-renderer --post-renderer-args -o --output"
    " --server-side --burst-limit --qps --kube-ca-file --kube-as-group --kube-tls-server-name --content-cache --labels"
    " --registry-config --repository-cache --repository-config --cascade -l --labels --revision --filter"
)
_WITH_SUBVERB = frozenset(("rollout", "set", "apply"))
_POD_VERBS = frozenset(("logs", "log", "exec", "attach", "port-forward"))
_NAMING_VERBS = _words(
    "get describe delete wait rollout scale expose patch annotate label edit set autoscale debug events"
)
_ALL_VERBS = frozenset(("wait", "delete", "rollout", "scale"))
_HELM_VERBS = frozenset(
    ("install", "upgrade", "uninstall", "delete", "rollback", "test", "status", "un", "del")  # its aliases too
)


def from_argv(argv: Sequence[str], depth: int = 0) -> Iterator[Evidence]:
    """Read a command's arguments; wrappers before kubectl or helm (env, timeout, sudo) are looked through."""
    words = list(argv)
    if words and PurePosixPath(words[0]).name in _QUOTING:
        return
    for at, word in enumerate(words):
        base = PurePosixPath(word).name
        if base in SHELLS and depth < _DEPTH:
            script = _script_of(words[at + 1 :])
            if script is not None:
                yield from from_script(script, depth + 1)
            return
        if base in KUBECTL:
            yield from _from_kubectl(words[at + 1 :])
            return
        if base in HELM:
            yield from _from_helm(words[at + 1 :])
            return


def from_script(text: str, depth: int = 0) -> Iterator[Evidence]:
    """Read shell text: each command in it on its own."""
    for line in text.replace("\\\n", " ").splitlines():
        if len(line) > LINE or not mentions(line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
        lexer.whitespace_split = True
        command: list[str] = []
        try:
            for word in lexer:
                if word in _SEPARATORS:
                    yield from from_argv(command, depth)
                    command = []
                else:
                    command.append(word)
        except ValueError:  # an open quote: the line goes on elsewhere, or is no shell
            continue
        yield from from_argv(command, depth)


def mentions(line: str) -> bool:
    """Tell whether a line speaks of kubectl or helm at all, which few lines do."""
    return "kubectl" in line or "helm" in line or "oc " in line


def _script_of(words: Sequence[str]) -> str | None:
    """Give the script of `sh -c SCRIPT`, none for anything else; `-o` before it takes a word of its own."""
    rest = iter(words)
    for word in rest:
        if not word.startswith(("-", "+")):
            return None
        if not word.startswith("--") and "c" in word[1:]:
            return next(rest, None)
        if not word.startswith("--") and word.endswith("o"):
            next(rest, None)
    return None


class _Arguments:
    """A command's arguments, sorted: flags with their values, and what stands alone."""

    def __init__(self, words: Sequence[str], with_value: frozenset[str]) -> None:
        self.flags: dict[str, str] = {}
        self.alone: list[str] = []
        rest = iter(words)
        for word in rest:
            if word == "--":
                break
            if not word.startswith("-") or word == "-":
                self.alone.append(word)
            elif "=" in word:
                flag, _, value = word.partition("=")
                self.flags[flag] = value
            elif word in with_value:
                self.flags[word] = next(rest, "")
            elif not word.startswith("--") and word[:2] in with_value:
                self.flags[word[:2]] = word[2:]
            else:
                self.flags[word] = ""

    def value(self, *flags: str) -> str:
        """Give a flag's value if it is a plain word; one that a shell has yet to fill in counts as not given."""
        value = next((self.flags[flag] for flag in flags if flag in self.flags), "")
        return "" if "$" in value or "`" in value else value

    @property
    def dry(self) -> bool:
        """Whether it is a dry run."""
        return "--dry-run" in self.flags and self.flags["--dry-run"] not in ("none", "false")

    @property
    def unclear(self) -> bool:
        """Whether the namespace is given, but in words that only the shell knows."""
        return any(flag in self.flags and not self.value(flag) for flag in ("-n", "--namespace"))


def _from_kubectl(words: Sequence[str]) -> Iterator[Evidence]:
    given = _Arguments(words, _KUBECTL_VALUES - {"-f", "-p"} if "logs" in words else _KUBECTL_VALUES)
    if not given.alone or given.unclear:
        return
    namespace = given.value("-n", "--namespace")
    verb, *rest = given.alone
    if given.dry or verb in ("config", "version", "cluster-info", "api-resources", "explain", "auth", "completion"):
        return
    if "-A" not in given.flags and "--all-namespaces" not in given.flags:
        yield Working(namespace)
    yield from _kubectl_objects(verb, rest[1:] if verb in _WITH_SUBVERB else rest, namespace, given)


def _kubectl_objects(verb: str, rest: Sequence[str], namespace: str, given: _Arguments) -> Iterator[Evidence]:
    """Read what a kubectl command is about: a name, names, labels, or all of a kind."""
    if verb == "run" and rest:
        yield from object_named("pod", rest[0], namespace)
    elif verb == "create" and len(rest) > 1:
        service = rest[0] in ("service", "svc")  # its second word says of which type
        yield from object_named(rest[0], rest[-1] if service else rest[1], namespace)
    elif verb in _POD_VERBS and rest:
        kind, slash, name = rest[0].partition("/")
        yield from object_named(kind, name, namespace) if slash else object_named("pod", kind, namespace)
    elif verb in _NAMING_VERBS:
        yield from named_objects(rest, namespace)
    labels = labels_of(given.value("-l", "--selector"))
    kinds = [KINDS[word] for word in (rest[0].lower().split(",") if rest else ()) if word in KINDS]
    if labels:
        yield from (Selected(labels, kind, namespace) for kind in kinds or [""])
    elif "--all" in given.flags and verb in _ALL_VERBS:
        yield from (Selected((), kind, namespace) for kind in kinds)


def named_objects(words: Sequence[str], namespace: str) -> Iterator[Named]:
    """Read `TYPE/NAME ...` or `TYPE NAME ...`; what follows a name (labels, `key=value`) is none."""
    if not words:
        return
    if "/" in words[0]:
        for word in words:
            kind, slash, name = word.partition("/")
            if slash:
                yield from object_named(kind, name, namespace)
        return
    for word in words[1:]:
        yield from object_named(words[0], word, namespace)


def object_named(word: str, name: str, namespace: str) -> Iterator[Named]:
    """Give the object of that kind, in any of kubectl's words for it, and name; nothing if the kind is not watched."""
    kind = KINDS.get(word.lower().split(".", 1)[0])
    if kind is not None and _VALID.fullmatch(name):
        yield Named(kind, name, namespace)


def labels_of(text: str) -> tuple[tuple[str, str], ...]:
    """Read `a=b,c=d`; a selector with anything else in it is given up whole: half of it would select too much."""
    labels = []
    for part in filter(None, text.split(",")):
        key, equals, value = part.replace("==", "=").partition("=")
        if not equals or key.endswith("!") or " in " in part or "(" in part:
            return ()
        labels.append((key.strip(), value.strip()))
    return tuple(sorted(labels))


def _from_helm(words: Sequence[str]) -> Iterator[Evidence]:
    given = _Arguments(words, _HELM_VALUES)
    if not given.alone or given.alone[0] not in _HELM_VERBS or given.unclear or given.dry:
        return
    namespace = given.value("-n", "--namespace")
    yield Working(namespace)
    if len(given.alone) > 1 and not ("--generate-name" in given.flags or "-g" in given.flags):
        names = given.alone[1:2] if given.alone[0] in ("install", "upgrade", "rollback") else given.alone[1:]
        for name in names:
            if _VALID.fullmatch(name):
                yield Release(name, namespace)
