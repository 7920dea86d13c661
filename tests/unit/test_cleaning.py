"""What comes through the door: no secret, nothing that drives a terminal or a CI system; and the rest untouched."""

from __future__ import annotations

import base64
import string
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nimble_watch.cleaning import (
    LIMIT,
    MASK,
    clean,
    clean_argv,
    clean_lines,
    forget_secrets,
    is_secret_name,
    learn_arguments,
    learn_secrets,
)

NVAPI = "nvapi-" + "Ab3_-" * 12 + "wxyz"
OLD_NGC = "bXl0ZXN0a2V5" * 7
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
PEM_BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"-----BEGIN PRIVATE KEY-----\n{PEM_BODY}\n{PEM_BODY}\n-----END PRIVATE KEY-----"
PASSWORD = "correct-horse-7"  # noqa: S105  a made-up one


@pytest.fixture(autouse=True)
def _nothing_learned() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"NGC_API_KEY is {NVAPI}.", NVAPI),
        (f"key {NVAPI[:30]}", NVAPI[6:30]),
        (f"in a Secret: {base64.b64encode(NVAPI.encode()).decode()}", base64.b64encode(NVAPI.encode()).decode()),
        ("x " + base64.b64encode(b"k" + NVAPI.encode()).decode(), base64.b64encode(b"k" + NVAPI.encode()).decode()),
        ("x " + base64.b64encode(b"ke" + NVAPI.encode()).decode(), base64.b64encode(b"ke" + NVAPI.encode()).decode()),
        (f"ngc registry login with {OLD_NGC}", OLD_NGC),
        (
            "key abcdefghijklmnopqrstuvwxyz:01234567-89ab-cdef-0123-456789abcdef",
            "abcdefghijklmnopqrstuvwxyz:01234567-89ab-cdef-0123-456789abcdef",
        ),
        (f"token was {JWT}", JWT),
        ("x " + base64.b64encode(JWT.encode()).decode(), base64.b64encode(JWT.encode()).decode()),
        (f"curl -H 'Authorization: Bearer {PASSWORD}' https://x", PASSWORD),
        (f"Authorization: Basic {PASSWORD}", PASSWORD),
        (f'"Authorization": "{PASSWORD}"', PASSWORD),
        (PEM, PEM_BODY),
        (PEM.partition("-----END")[0], PEM_BODY),
        (PEM.replace("PRIVATE", "RSA PRIVATE").replace("\n", "\\n"), PEM_BODY),
        (f"log line\n{PEM_BODY}\nnext", PEM_BODY),
        (f"users:\n- name: me\n  user:\n    token: {PASSWORD}\n", PASSWORD),
        ("    client-key-data: LS0tLS1CRUdJTiBSU0E=", "LS0tLS1CRUdJTiBSU0E"),
        ("kind: Secret\ndata:\n  mine: aGVsbG8gd29ybGQ=\n", "aGVsbG8gd29ybGQ"),
        ("data:\n  mine: aGVsbG8gd29ybGQ=\nkind: Secret\n", "aGVsbG8gd29ybGQ"),
        ('{"kind":"Secret","data":{"mine":"aGVsbG8gd29ybGQ="}}', "aGVsbG8gd29ybGQ"),
        ('{"data":{"mine":"aGVsbG8gd29ybGQ="},"kind":"Secret"}', "aGVsbG8gd29ybGQ"),
        ('{"auths":{"nvcr.io":{"auth":"JG9hdXRoOm52YXBp"}}}', "JG9hdXRoOm52YXBp"),
        ('".dockerconfigjson": "eyJhdXRocyI6e319"', "eyJhdXRocyI6e319"),
        ("  .dockerconfigjson: eyJhdXRocyI6e319", "eyJhdXRocyI6e319"),
        (f"clone https://me:{PASSWORD}@github.com/x", PASSWORD),
        (f"clone https://{PASSWORD}@github.com/x", PASSWORD),
        ("PUT https://objectstorage/p/AbCdEf0123456789_-xyz/n/ns/b/bucket/o/", "AbCdEf0123456789_-xyz"),
        (f"NGC_API_KEY={PASSWORD} make install", PASSWORD),
        (f"export DB_PASSWORD='{PASSWORD}'", PASSWORD),
        (f"helm install --set ngc.apiKey={PASSWORD}", PASSWORD),
        (f"kubectl create secret docker-registry x --docker-password={PASSWORD}", PASSWORD),
        (f"helm registry login --password {PASSWORD} nvcr.io", PASSWORD),
        (f'{{"password": "{PASSWORD}"}}', PASSWORD),
        (f'{{\\"password\\": \\"{PASSWORD}\\"}}', PASSWORD),
        ("https://x/?access_token=abc123&x=1", "abc123"),
    ],
)
def test_a_secret_does_not_come_through(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in clean(text)
    assert secret not in clean_lines(text)
    assert MASK in clean_lines(text)


@pytest.mark.parametrize(
    "text",
    [
        'Failed to pull image "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.4": rpc error: code = NotFound desc = x',
        'MountVolume.SetUp failed for volume "key" : secret "ngc-api" not found',
        "Error: couldn't find key NGC_API_KEY in Secret nim/ngc-api",
        "Unable to retrieve some image pull secrets (ngc-secret); attempting to pull the image may not succeed.",
        (
            "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
            "https://nvcr.io/proxy_auth?scope=repository%3Anim%2Fx%3Apull: 401 Unauthorized"
        ),
        "failed to fetch oauth token: denied: denied",
        "no basic auth credentials",
        'www-authenticate: Bearer realm="https://nvcr.io/proxy_auth",scope="repository:nim/x:pull"',
        (
            "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint "
            "{nvidia.com/gpu: present}. preemption: 0/3 nodes are available"
        ),
        (
            'pods "nim-0" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=2, used: '
            "requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8"
        ),
        "nvcr.io/nim/x@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "ocid1.instance.oc1.phx.anyhqljtexampleuniqueid00000000000000000000000000000000000000",
        "Bearer authentication is required",
        "max_tokens=4096 secretName=ngc-secret --image-pull-secret ngc-secret",
        "Reason: KeyError: 'model'",
        "std::runtime_error: out of memory",
        "Größe 日本語 naïve “quoted”",
        "tab\tstays",
    ],
)
def test_what_is_no_secret_comes_through_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x1b[0m", "^[[31mred^[[0m"),
        ("\x1b]0;title\x07", "^[]0;title^G"),
        ("a\x00b\x7f", "a^@b^?"),
        ("\x9b31m", "\\x9b31m"),
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
        ("a\u2028b\u2066c", "a\\u2028b\\u2066c"),
        ("one\ntwo\r\nthree", "one\\ntwo\\r\\nthree"),
        ("\udc80 not utf-8", "\\udc80 not utf-8"),
    ],
)
def test_control_and_bidi_characters_become_visible(text: str, seen: str) -> None:
    assert clean(text) == seen


def test_lines_are_kept_where_they_are_wanted_and_nothing_else() -> None:
    assert clean_lines("one\r\ntwo\n\x1b[2Jthree\rfour") == "one\ntwo\n^[[2Jthree\\rfour"


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("see ##[add-path]/tmp/x", "see ## [add-path]/tmp/x"),
        ("##vso[task.setvariable]x", "## vso[task.setvariable]x"),
        ("##VSO[x]", "## VSO[x]"),
        ("##teamcity[message text='x']", "## teamcity[message text='x']"),
        ("::set-env name=X::y", ": :set-env name=X::y"),
        ("   ::error::x", "   : :error::x"),
        (f"##{NVAPI}[x]", f"##nvapi-{MASK}[x]"),
    ],
)
def test_a_command_to_a_ci_system_is_broken(text: str, broken: str) -> None:
    assert clean(text) == broken


def test_a_command_on_any_line_is_broken() -> None:
    assert clean_lines("a\n::add-mask::b") == "a\n: :add-mask::b"


def test_a_text_is_cut_at_its_limit_and_says_so() -> None:
    assert clean("x " * LIMIT) == ("x " * LIMIT)[: LIMIT - 1] + "…"
    assert len(clean("y" * 3_000_000)) <= LIMIT
    assert clean("abcdef", limit=4) == "abc…"


def test_a_secret_at_the_limit_is_not_cut_but_masked() -> None:
    assert NVAPI[6:16] not in clean("x" * 40 + " " + NVAPI, limit=60)


def test_values_of_variables_with_secret_names_are_masked_wherever_they_appear() -> None:
    learn_secrets(
        {"NGC_API_KEY": "hunter2hunter2", "HOME": "/home/me", "SSH_AUTH_SOCK": "/tmp/agent", "DB_TOKEN": "abc"}
    )
    encoded = base64.b64encode(b"hunter2hunter2").decode()
    assert clean(f"it is hunter2hunter2 or {encoded} in /home/me, /tmp/agent, abc") == (
        f"it is {MASK} or {MASK} in /home/me, /tmp/agent, abc"
    )


@pytest.mark.parametrize(
    "name", ["NGC_API_KEY", "PASSWORD", "db-password", "client-key-data", "GITHUB_TOKEN", "apiKey"]
)
def test_a_name_that_says_secret_is_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["HOME", "secretName", "MAX_TOKENS", "KEYBOARD", "PWD", "MONKEY", "AUTHOR"])
def test_a_name_that_only_looks_like_it_is_not(name: str) -> None:
    assert not is_secret_name(name)


def test_a_command_line_keeps_its_shape_without_its_secrets() -> None:
    argv = [
        "helm",
        "install",
        "--password",
        PASSWORD,
        f"NGC_API_KEY={PASSWORD}",
        f"--token={PASSWORD}",
        "-n",
        "nim",
        JWT,
    ]
    assert clean_argv(argv) == [
        "helm", "install", "--password", MASK, f"NGC_API_KEY={MASK}", f"--token={MASK}", "-n", "nim", MASK,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "argv",
    [
        ["make", "install", "NGC_API_KEY=hunter2hunter2"],
        ["helm", "login", "--password", "hunter2hunter2"],
        ["helm", "login", "--password='hunter2hunter2'"],
        ["sh", "-c", "set -e; login --token 'hunter2hunter2'; (export API_KEY=hunter2hunter2)"],
        ["git", "clone", "https://me:hunter2hunter2@example.test/x"],
    ],
)
def test_what_a_command_line_tells_is_masked_wherever_it_appears(argv: list[str]) -> None:
    learn_arguments(argv)
    assert clean("it is hunter2hunter2, said /bin/sh") == f"it is {MASK}, said /bin/sh"


def test_a_command_line_that_names_a_secret_without_telling_it_teaches_nothing() -> None:
    learn_arguments(["sh", "-c", 'helm login --password "$NGC_API_KEY" --token-file /tmp/token-file-1 x=abcdefgh'])
    text = "helm login NGC_API_KEY /tmp/token-file-1 abcdefgh"
    assert clean(text) == text


def test_a_command_line_that_is_not_utf_8_can_be_stored() -> None:
    assert clean_argv([b"\xff".decode(errors="surrogateescape")]) == ["\\udcff"]


HOSTILE = st.text(
    st.one_of(
        st.sampled_from("#[]:/@=\"' \n\r\t\x1b\x7f\x9b\u202e-._~+"),
        st.sampled_from(string.ascii_letters + string.digits),
        st.characters(),
    ),
    max_size=200,
)
PIECES = st.sampled_from(
    ["##", "[", "::", "vso[", "nvapi-", "token", "password", "=", ": ", "://", "@", "Bearer ", "--token ", "\n", "\n  ",
     "kind: Secret", "data:", "-----BEGIN PRIVATE KEY", "-----", "eyJ", "/p/", "/n/", "ngc", "authorization", '"', "\\",
     NVAPI, JWT, PEM_BODY, OLD_NGC, PASSWORD, "***"]
)  # fmt: skip
TEXTS = st.one_of(HOSTILE, st.lists(st.one_of(PIECES, HOSTILE.map(lambda t: t[:8])), max_size=12).map("".join))


@given(TEXTS)
@example("secret=password=x")
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    lines = clean_lines(text)
    assert clean_lines(lines) == lines


@given(TEXTS, st.integers(1, 80))
def test_cleaning_a_cut_text_again_changes_nothing(text: str, limit: int) -> None:
    once = clean(text, limit=limit)
    assert len(once) <= limit
    assert clean(once, limit=limit) == once


@given(TEXTS)
def test_nothing_that_drives_a_terminal_or_a_ci_system_is_left(text: str) -> None:
    seen = clean(text)
    assert all(c == "\t" or (c >= " " and c != "\x7f" and not "\x80" <= c <= "\x9f") for c in seen)
    assert "##[" not in seen
    assert "##vso[" not in seen.lower()
    assert not seen.lstrip(" \t").startswith("::")
    seen.encode()


@given(HOSTILE, HOSTILE, st.sampled_from([NVAPI, JWT, PEM]))
def test_a_secret_never_comes_through_whatever_stands_around_it(before: str, after: str, secret: str) -> None:
    body = max(secret.replace(".", "\n").split("\n"), key=len)
    assert body not in clean(f"{before} {secret} {after}")
    assert body not in clean_lines(f"{before} {secret} {after}")


@given(HOSTILE, st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_+/.-]{7,40}", fullmatch=True))
def test_the_value_of_a_secret_variable_never_comes_through(before: str, value: str) -> None:
    seen = clean(f"{before} MY_API_KEY={value} end")
    assert f"MY_API_KEY={value}" not in seen


@pytest.mark.parametrize(
    "command", ['--docker-password="$NGC_API_KEY"', "--token ${API_TOKEN}", "PASSWORD=$DB_PASSWORD"]
)
def test_a_reference_to_a_variable_stays_so_that_the_command_can_be_typed(command: str) -> None:
    assert clean(command) == command


@pytest.mark.parametrize("command", ["--password=$ecret123", "PASSWORD=$UPER4", "--token $oauthtoken9x"])
def test_a_password_that_begins_like_a_variable_is_masked(command: str) -> None:
    assert clean(command) != command
