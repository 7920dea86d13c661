"""Which cluster, and who we are to it: kubeconfig files or the pod's service account, read by the official client.

Three things are done here instead of there.  Credential plugins are run by `plugin`; token files are read anew for
each request, as kubectl does; and certificates are put into one TLS context at once, so that the temporary files the
client makes of them (the key among them) live for milliseconds and are not left behind by a kill.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import urllib3
import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_incluster_config
from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from nimble_watch.cleaning import clean
from nimble_watch.cluster.plugin import Credential, Plugin
from nimble_watch.cluster.settings import Settings
from nimble_watch.errors import ConfigError, closest

_TOLD = 300
# What the official reader raises for files that are YAML but no kubeconfig: it checks little.
_BROKEN = (ConfigException, yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError)


class _Used(threading.local):
    """What the last request of this thread showed."""

    credential: Credential | None = None


class Access:
    """A cluster and the credentials for it, as the kubeconfig has them at this moment."""

    def __init__(self, configuration: Configuration, context: str, namespace: str) -> None:
        self.configuration = configuration
        self.context = context
        self.namespace = namespace or "default"
        self.server = without_credentials(configuration.host)
        self.tls: ssl.SSLContext | None = None
        self.token_file: Path | None = None
        self.plugin: Plugin | None = None
        self.fingerprint = ""
        self._shown: Credential | None = None
        self._used = _Used()

    def headers(self) -> dict[str, str]:
        """Give the headers that say who we are; may run the plugin or read a file."""
        if self.plugin is not None:
            given = self.plugin.get()
            self._used.credential = given
            if given.certificate and given is not self._shown:
                self._take_certificate(given)
                self._shown = given
            return {"authorization": f"Bearer {given.token}"} if given.token else {}
        if self.token_file is not None:
            try:
                token = self.token_file.read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                raise ConfigError(
                    "the token file cannot be read",
                    where=str(self.token_file),
                    advise="log in to the cluster again",
                ) from error
            return {"authorization": f"Bearer {token}"}
        settings: Any = self.configuration.auth_settings()
        return {
            str(entry["key"]): str(entry["value"])
            for entry in settings.values()
            if entry["in"] == "header" and entry["value"]
        }

    def refused(self) -> bool:
        """Take note that the server did not accept who we are; tell whether asking again may help."""
        if self.plugin is None:
            return self.token_file is not None
        # the one that this thread used: another thread may have had the refused one replaced already
        self.plugin.get(instead_of=self._used.credential)
        return True

    def _take_certificate(self, credential: Credential) -> None:
        if self.tls is None:
            return
        with tempfile.TemporaryDirectory(prefix="nimble-watch-") as folder:
            path = Path(folder, "client.pem")
            path.touch(mode=0o600)
            path.write_text(f"{credential.certificate}\n{credential.key}\n", encoding="ascii")
            try:
                self.tls.load_cert_chain(path)
            except (ssl.SSLError, OSError) as error:
                raise ConfigError("the credential plugin gave a certificate that cannot be used") from error


def kubeconfig_files(settings: Settings, environ: Mapping[str, str]) -> list[Path]:
    """Give the kubeconfig files in force, whether they exist or not."""
    named = settings.kubeconfig or environ.get("KUBECONFIG", "") or "~/.kube/config"
    return [Path(part).expanduser() for part in named.split(os.pathsep) if part]


def load(settings: Settings, environ: Mapping[str, str]) -> Access:
    """Give access to the cluster that is set; a `ConfigError` says why there is none."""
    files = kubeconfig_files(settings, environ)
    there = [path for path in files if path.exists()]
    if not there:
        if not settings.kubeconfig and not environ.get("KUBECONFIG") and environ.get("KUBERNETES_SERVICE_HOST"):
            return _in_cluster()
        raise ConfigError(
            "there is no kubeconfig",
            where=", ".join(map(str, files)),
            advise="set KUBECONFIG, or make one with `oci ce cluster create-kubeconfig`; the watch begins then",
        )
    where = ", ".join(map(str, there))
    try:
        merged = KubeConfigMerger(os.pathsep.join(map(str, there))).config
        if merged is None:
            raise ConfigError("the kubeconfig is empty", where=where, advise="make a new one")
        return _from_kubeconfig(merged, settings, where)
    except OSError as error:
        raise ConfigError(
            f"the kubeconfig cannot be read: {error.strerror}", where=where, advise="look at its owner and mode"
        ) from error
    except _BROKEN as error:
        raise ConfigError(
            f"the kubeconfig cannot be used: {_plain(error)}", where=where, advise="`kubectl config view` shows it"
        ) from error


def _plain(error: Exception) -> str:
    """Give what a reader of YAML or kubeconfigs has to say, without quoting the file, which holds keys."""
    if isinstance(error, yaml.MarkedYAMLError):
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"it is no YAML{line}"
    if isinstance(error, ConfigException):
        return clean(str(error), limit=_TOLD)
    return "something in it is not what it should be"


def _from_kubeconfig(merged: Any, settings: Settings, where: str) -> Access:
    contexts = [str(entry["name"]) for entry in merged.value.get("contexts") or ()]
    context = settings.context or str(merged.value.get("current-context") or "")
    if not context:
        raise ConfigError(
            "the kubeconfig has no current context", where=where, advise=f"name one with --context: {_names(contexts)}"
        )
    if context not in contexts:
        guess = closest(context, contexts)
        raise ConfigError(
            f"the kubeconfig has no context {clean(context, limit=_TOLD)}",
            where=where,
            advise=f"did you mean {guess}?" if guess else f"there are: {_names(contexts)}",
        )
    chosen = next(entry for entry in merged.value["contexts"] if entry["name"] == context)["context"]
    cluster = _named(merged, "clusters", chosen["cluster"])
    user = _named(merged, "users", chosen.safe_get("user"))
    named = repr((context, chosen.value, cluster, user)).encode()
    # Taken out before the official reader sees them: we run plugins and read token files ourselves.
    spec = user[1].pop("exec", None) if not {"token", "tokenFile", "auth-provider"} & user[1].keys() else None
    token_file = user[1].pop("tokenFile", None)
    configuration = Configuration()
    configuration.api_key.clear()
    with tempfile.TemporaryDirectory(prefix="nimble-watch-") as folder:
        loader = KubeConfigLoader(
            config_dict=merged, active_context=context, config_base_path=None, temp_file_path=folder
        )
        loader.load_and_set(configuration)
        access = Access(configuration, context, str(chosen.safe_get("namespace") or ""))
        access.tls = _tls(configuration)
    access.fingerprint = hashlib.sha256(named).hexdigest()
    if proxy := cluster[1].get("proxy-url"):  # 36 does not read it; kubectl uses it whatever NO_PROXY says
        configuration.proxy, configuration.no_proxy = proxy, None
    if token_file:
        access.token_file = user[0] / token_file
    if spec:
        access.plugin = Plugin(spec, user[0], cluster[1], settings.plugin_timeout)
    return access


def _named(merged: Any, group: str, name: Any) -> tuple[Path, dict[str, Any]]:
    """Give the folder that relative paths in an entry start from, and the entry; empty where there is none."""
    for entry in merged.value.get(group) or ():
        if name and entry["name"] == name:
            inner = entry[group.removesuffix("s")]
            return Path(entry.path or ".").absolute().parent, inner.value
    return Path(), {}


def _names(contexts: list[str]) -> str:
    return clean(", ".join(contexts), limit=_TOLD) or "none"


def _in_cluster() -> Access:
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise ConfigError(
            f"the pod's service account cannot be used: {clean(str(error), limit=_TOLD)}",
            advise="set KUBECONFIG, or let the pod mount its service account token",
        ) from error
    access = Access(configuration, "in-cluster", _in_cluster_namespace())
    access.tls = _tls(configuration)
    access.token_file = Path(SERVICE_TOKEN_FILENAME)  # the kubelet puts a new one there before the old one ends
    return access


def _in_cluster_namespace() -> str:
    try:
        return Path(SERVICE_TOKEN_FILENAME).with_name("namespace").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _tls(configuration: Configuration) -> ssl.SSLContext | None:
    """Put the certificates into a context that all connections share, and take their files out of the configuration.

    Without, each connection reads the system's certificate authorities anew.
    """
    if not configuration.host.startswith("https"):
        return None
    context: ssl.SSLContext = urllib3.util.create_urllib3_context()
    # Python 3.13 refuses certificate authorities without a key identifier; kubectl takes them, and clusters have them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif configuration.ssl_ca_cert:
        context.load_verify_locations(configuration.ssl_ca_cert)
    else:
        context.load_default_certs()
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    configuration.ssl_ca_cert = configuration.cert_file = configuration.key_file = None
    return context


def without_credentials(url: str) -> str:
    """Give a URL without user, password and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return urlunsplit((parts.scheme, host + (f":{parts.port}" if parts.port else ""), parts.path, "", ""))


def stamps(settings: Settings, environ: Mapping[str, str]) -> tuple[tuple[str, int, int, int], ...]:
    """Give what tells whether the kubeconfig files are still those that were read: a stat of each."""
    return tuple(_stamps(kubeconfig_files(settings, environ)))


def _stamps(files: list[Path]) -> Iterator[tuple[str, int, int, int]]:
    for path in files:
        try:
            found = path.stat()
        except OSError:
            yield str(path), 0, 0, 0
        else:
            yield str(path), found.st_mtime_ns, found.st_size, found.st_ino
