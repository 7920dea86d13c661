"""Who asks OCI: a user's key, a session token, or what the machine, the function or the pod itself is.

Which of them is chosen by name, else by OCI_CLI_AUTH as for OCI's own command line, else by what is there: a resource
principal's variables, then the configuration file.  The instance principal is never tried unasked: away from OCI it
takes minutes to find that out.  The signatures themselves are the `oci` package's work, imported when one is needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nimble_watch.cleaning import clean
from nimble_watch.errors import ConfigError, closest

_CLI = {
    "api_key": "config",
    "security_token": "token",
    "instance_principal": "instance",
    "resource_principal": "resource",
    "oke_workload_identity": "workload",
    "instance_obo_user": "delegation",
}
_AUTH_ENDPOINT = "NIMBLE_WATCH_OCI_AUTH_ENDPOINT"
"""Where an instance gets its token, for realms that the SDK does not know, and for tests."""


class Principal(NamedTuple):
    """Who asks: the settings that every client of the `oci` package takes, a signer but for a user's key, and how."""

    settings: dict[str, Any]
    signer: Any | None
    how: str

    @property
    def arguments(self) -> dict[str, Any]:
        """What a client takes beside the settings."""
        return {} if self.signer is None else {"signer": self.signer}


def principal(
    environ: Mapping[str, str], *, way: str = "", profile: str = "", file: str = "", region: str = ""
) -> Principal:
    """Give who asks, or say in a sentence what is missing; reads files, or asks services of the machine."""
    how = way or _chosen(environ, profile=profile, file=file)
    if how not in _WAYS:
        meant = closest(how, list(_WAYS))
        raise ConfigError(
            f"there is no way to ask OCI called {clean(how)}",
            advise=f"did you mean {meant}?" if meant else f"there are {', '.join(_WAYS)}",
        )
    with _failing(how):
        settings, signer = _WAYS[how](environ, profile, file)
    found = region or environ.get("OCI_CLI_REGION") or settings.get("region") or getattr(signer, "region", None)
    found = found or environ.get("OCI_REGION")
    return Principal({**settings, **({"region": found} if found else {})}, signer, how)


def _chosen(environ: Mapping[str, str], *, profile: str, file: str) -> str:
    if named := environ.get("OCI_CLI_AUTH", "").strip():
        return _CLI.get(named, named)
    if environ.get("OCI_RESOURCE_PRINCIPAL_VERSION") and not profile and not file:
        return "resource" if environ.get("OCI_RESOURCE_PRINCIPAL_RPST") else "workload"
    return "config"


def _file(environ: Mapping[str, str], profile: str, file: str) -> dict[str, Any]:
    import oci  # noqa: PLC0415  a fifth of a second that only those wait for who ask OCI

    place = file or environ.get("OCI_CLI_CONFIG_FILE") or environ.get("OCI_CONFIG_FILE") or "~/.oci/config"
    settings: dict[str, Any] = oci.config.from_file(place, profile or environ.get("OCI_CLI_PROFILE") or "DEFAULT")
    return settings


def _config(environ: Mapping[str, str], profile: str, file: str) -> tuple[dict[str, Any], Any | None]:
    import oci  # noqa: PLC0415  as above

    settings = _file(environ, profile, file)
    if settings.get("security_token_file"):  # a user's key beside it may only be inherited from [DEFAULT]
        return _token(environ, profile, file)
    oci.config.validate_config(settings)
    return settings, None


def _token(environ: Mapping[str, str], profile: str, file: str) -> tuple[dict[str, Any], Any]:
    import oci  # noqa: PLC0415  as above

    settings = _file(environ, profile, file)
    token = Path(str(settings["security_token_file"])).expanduser().read_text(encoding="utf-8").strip()
    key = oci.signer.load_private_key_from_file(settings["key_file"], settings.get("pass_phrase"))
    return settings, oci.auth.signers.SecurityTokenSigner(token, key)


def _instance(environ: Mapping[str, str], _profile: str, _file: str) -> tuple[dict[str, Any], Any]:
    import oci  # noqa: PLC0415  as above

    once = oci.retry.NoneRetryStrategy()  # ours know when time is up
    return {}, oci.auth.signers.InstancePrincipalsSecurityTokenSigner(
        retry_strategy=once,
        federation_client_retry_strategy=once,
        federation_endpoint=environ.get(_AUTH_ENDPOINT),
    )


def _resource(_environ: Mapping[str, str], _profile: str, _file: str) -> tuple[dict[str, Any], Any]:
    import oci  # noqa: PLC0415  as above

    return {}, oci.auth.signers.get_resource_principals_signer()


def _workload(environ: Mapping[str, str], _profile: str, _file: str) -> tuple[dict[str, Any], Any]:
    import oci  # noqa: PLC0415  as above

    place = environ.get("OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH")  # as the SDK has it for the CA file
    return {}, oci.auth.signers.get_oke_workload_identity_resource_principal_signer(
        service_account_token_path=place, retry_strategy=oci.retry.NoneRetryStrategy()
    )


def _delegation(environ: Mapping[str, str], profile: str, file: str) -> tuple[dict[str, Any], Any]:
    import oci  # noqa: PLC0415  as above

    settings = _file(environ, profile, file)
    token = Path(str(settings["delegation_token_file"])).expanduser().read_text(encoding="utf-8").strip()
    return settings, oci.auth.signers.InstancePrincipalsDelegationTokenSigner(
        delegation_token=token, federation_endpoint=environ.get(_AUTH_ENDPOINT)
    )


_WAYS: dict[str, Callable[[Mapping[str, str], str, str], tuple[dict[str, Any], Any | None]]] = {
    "config": _config,
    "token": _token,
    "instance": _instance,
    "resource": _resource,
    "workload": _workload,
    "delegation": _delegation,
}

_ADVICE = {
    "config": "`oci setup config` makes ~/.oci/config; OCI_CLI_CONFIG_FILE and OCI_CLI_PROFILE name another",
    "token": "`oci session authenticate` gets a token, which is good for an hour",
    "instance": "it needs a compute instance in OCI and a dynamic group with a policy; elsewhere say principal=config",
    "resource": "OCI_RESOURCE_PRINCIPAL_VERSION and its companions are set only where OCI runs the code",
    "workload": "it needs a pod in an enhanced OKE cluster with its service account's token mounted",
    "delegation": "Cloud Shell has a delegation token; elsewhere say principal=config",
}


@contextlib.contextmanager
def _failing(how: str) -> Iterator[None]:
    """Turn the many errors of the SDK's signers into one sentence; none of them says a key or a token."""
    try:
        yield
    except ConfigError:
        raise
    except KeyError as error:
        raise ConfigError(f"OCI cannot be asked ({how}): {error} is missing there", advise=_ADVICE[how]) from error
    except Exception as error:  # the SDK raises what it gets: OSError, ValueError, configparser's, requests', its own
        told = str(getattr(error, "message", "") or innermost(error)).partition(", please follow the instructions")[0]
        said = clean(told, limit=300).rstrip(". ")
        name = type(error).__name__
        raise ConfigError(f"OCI cannot be asked ({how}): {said or name}", advise=_ADVICE[how]) from error


def innermost(error: BaseException) -> str:
    """Give what an error began with: connection errors of the SDK are wrapped four times, each with the whole URL."""
    seen = {id(error)}
    while True:
        causes = (getattr(error, "reason", None), *error.args, error.__cause__, error.__context__)
        inner = next((one for one in causes if isinstance(one, BaseException) and id(one) not in seen), None)
        if inner is None:
            return str(error).rpartition("): ")[2] or type(error).__name__
        seen.add(id(inner))
        error = inner
