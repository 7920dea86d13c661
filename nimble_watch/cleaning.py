"""The door through which every text of others passes before it is stored, recorded or printed.

An event's message, a container's log or a command line may hold a key, a terminal escape or a command to the CI system
that reads our output.  Here secrets become `***`, control and bidi characters become visible, CI markers are broken
with a space, and the length is capped.  Doing it twice changes nothing.

It stands on the way of every event, so each pattern has words without which it cannot match, and clean printable ASCII
without any of them passes in 2 to 3 microseconds.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

MASK = "***"
LIMIT = 4096
FIELD_LIMIT = 64 * 1024
_MOST = 1 << 20  # nothing longer is searched
_LEAST_VALUE = 6
_LONG = 60  # from here on a line of nothing but base64 is a key's
_PASSES = 8

_NAME = (
    r"(?:password|passwd|passphrase|secret|secret[_-]?key|token|api[_-]?key|private[_-]?key|ssh[_-]?key|access[_-]?key"
    r"|access[_-]?key[_-]?id|client[_-]?key[_-]?data|credentials?|connection[_-]?string|pwd|auth|dockerconfigjson"
    r"|dockercfg|dockerconfig)"
)
_NAMES: tuple[str, ...] = (
    "pass",
    "secret",
    "token",
    "key",
    "credential",
    "connection_s",
    "connection-s",
    "connections",
    "pwd",
    "auth",
    "dockerc",
)
_SECRET_NAME = re.compile(rf"(?:^|[\w.-]){_NAME}$|^{_NAME}$", re.IGNORECASE)
_IN_URL = r"://[^/@\s:]*:(?P<value>[^/@\s]+)@"
_NOT_SECRET_NAMES = frozenset(("SSH_AUTH_SOCK", "PWD", "OLDPWD"))

Change = str | Callable[[re.Match[str]], str]


# `"$NGC_API_KEY"` in a command names a secret without telling it, and a masked one could not be typed.
_REFERENCE = re.compile(r"""["']?\$\{?([A-Z][A-Z0-9_]*)\}?["']?""")


def _keep_ends(match: re.Match[str]) -> str:
    """Mask the group `value` and keep what stands around it; a reference to a variable is no secret."""
    start, end = match.span("value")
    reference = _REFERENCE.fullmatch(match["value"])
    if reference is not None and is_secret_name(reference[1]):
        return match.group()
    return match.string[match.start() : start] + MASK + match.string[end : match.end()]


def _mask_data(match: re.Match[str]) -> str:
    return _VALUE_IN_DATA.sub(rf"\1{MASK}", match.group())


_VALUE_IN_DATA = re.compile(
    r"""((?:^|\n)[ \t]+[\w.-]+:[ \t]+|"[\w.-]+"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|[^\s,}"][^\n,}]*)"""
)
_QUOTED = r"""\\"[^"\\]*\\"|"(?:[^"\\]|\\.)*"|'[^']*'"""
_VALUE = rf"""(?P<value>{_QUOTED}|[^\s"'&,;]+)"""

_SECRETS: tuple[tuple[tuple[str, ...], str, Change], ...] = (
    # A key of any kind; cut short or not, everything after its first line is masked.
    (
        ("private key",),
        r"(?s)-----BEGIN[ A-Z0-9]*PRIVATE KEY.*?(?:-----END[ A-Z0-9]*PRIVATE KEY[ A-Z0-9]*-----|\Z)",
        MASK,
    ),
    # NVIDIA's keys: today's, its base64 at each of the three offsets, and the old ones.
    (("nvapi-",), r"nvapi-[\w-]{12,}", f"nvapi-{MASK}"),
    (("bnzhcgkt", "52yxbpl", "udmfwas"), r"[\w+/]{0,4}(?:bnZhcGkt|52YXBpL|udmFwaS)[\w+/=-]{8,}", MASK),
    (("ngc",), r"(?is)\bngc.{0,60}?(?P<value>(?<![A-Za-z0-9])[A-Za-z0-9]{84,})", _keep_ends),
    (
        ("ngc", "key", "auth", "pass"),
        r"\b[a-z0-9]{26}:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        MASK,
    ),
    # JSON Web Tokens, and other base64 of JSON (docker's configuration); their base64 once more.
    (
        ("eyj", "eya"),
        r"(?<![\w-])ey[JA][\w-]{6,}\.ey[\w-]{4,}(?:\.[\w-]*)?|(?<![\w-])eyJ[\w+/=-]{28,}",
        MASK,
    ),
    (("zxlk",), r"(?<![\w+/])ZXlK[\w+/=-]{20,}", MASK),
    # HTTP.
    (
        ("bearer",),
        r"(?i)\bbearer\s+(?P<value>(?=[a-z]*[0-9._~+/=-]|[a-z]{20})[\w.~+/=-]{8,})",
        _keep_ends,
    ),
    (
        ("authorization",),
        r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]+\s+)?(?P<value>[^\s\"',*][^\s\"',]*)",
        _keep_ends,
    ),
    (("@",), r"://(?P<value>[^/\s@\"'<>]+)@", _keep_ends),
    (("/p/",), r"/p/(?P<value>[\w-]{12,})(?=/n/|/?$|[\s\"'])", _keep_ends),
    # NAME=value, "name": "value" and --name value, for names that end in a word that says secret.
    (
        _NAMES,
        rf"(?i){_NAME}(?:[ \t]*=[ \t]*|(?=\\?[\"']\s*:\s*\\?[\"'])\\?[\"']\s*:\s*){_VALUE}",
        _keep_ends,
    ),
    (_NAMES, rf"(?i)(?<!\S)--(?!image-pull-)[\w-]{{0,60}}{_NAME}[ \t]+(?!--){_VALUE}", _keep_ends),
    # name: value, where the pair is a line of its own (YAML) or the value looks like one: "token: unexpected status".
    (
        _NAMES,
        rf"(?im)^[ \t]*(?:-[ \t]+)?[\w.-]{{0,80}}{_NAME}:[ \t]+(?P<value>{_QUOTED}|[^\s\"']+)[ \t]*\r?$",
        _keep_ends,
    ),
    (
        _NAMES,
        rf"(?i){_NAME}:[ \t]*(?P<value>(?=[a-z+/=.~_-]*\d)(?=[\d+/=.~_-]*[a-z])[\w+/=.~-]{{12,}})",
        _keep_ends,
    ),
)
# A Secret as YAML or JSON: every value of its data.
_SECRET_OBJECT = re.compile(r"""\bkind["']?:[ \t]*["']?Secret\b""")
_DATA = re.compile(r"(?m)^[ \t]*(?:data|stringData):[ \t]*(?:\n[ \t]+[^\n]*)+|\"(?:data|stringData)\"\s*:\s*\{[^}]*")
_BASE64_LINE = re.compile(
    r"(?m)^[ \t]*(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[a-z])(?P<value>[A-Za-z0-9+/]{60,}={0,2})[ \t]*\r?$"
)

_MARKER = re.compile(r"##(?=\[|vso\[|teamcity\[)", re.IGNORECASE)
_COMMAND = re.compile(r"(?m)^([ \t]*):(?=:)")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LEARNED: list[str] = []
_HARMLESS: set[str] = set()
"""Short texts in which nothing was found, as a cluster says the same sentences over and over."""
_SHORT, _REMEMBERED = 400, 2048


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character == "\n":
        return "\\n"
    if character == "\r":
        return "\\r"
    if code < 0x20:  # noqa: PLR2004  where the C0 controls end
        return f"^{chr(code + 0x40)}"
    if code == 0x7F:  # noqa: PLR2004  it is DEL
        return "^?"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004  one byte


def clean(text: str, *, limit: int = LIMIT) -> str:
    """Give a text of others as one line that may be stored and printed."""
    if text in _HARMLESS and len(text) <= limit:
        return text
    if text.isascii() and text.isprintable() and len(text) <= limit:
        lower = text.lower()
        if (
            not any(word in lower for word in _WORDS)
            and not any(value in text for value in _LEARNED)
            and (len(text) < _LONG or " " in text.strip(" "))
        ):
            if len(text) <= _SHORT:
                if len(_HARMLESS) >= _REMEMBERED:
                    _HARMLESS.clear()
                _HARMLESS.add(text)
            return text
    return _clean(text, limit, _CONTROL)


def clean_lines(text: str, *, limit: int = FIELD_LIMIT) -> str:
    """Give a text of others that may have several lines (a log's end, a person's description)."""
    return _clean(text.replace("\r\n", "\n"), limit, _CONTROL_BUT_LINES)


def clean_document(value: Any) -> Any:
    """Give a JSON value of others with every text in it cleaned, names included; all else stays as it is."""
    if isinstance(value, str):
        return clean_lines(value)
    if isinstance(value, dict):
        return {clean_lines(str(name)): clean_document(inner) for name, inner in value.items()}
    return [clean_document(inner) for inner in value] if isinstance(value, list) else value


def _clean(text: str, limit: int, control: re.Pattern[str]) -> str:
    if len(text) > _MOST:
        text = text[:_MOST].rpartition(" ")[0]
    for _ in range(_PASSES):  # what is made visible, or cut, may bring a pattern to light
        before = text
        text = control.sub(_visible, _mask(text))
        text = _COMMAND.sub(r"\1: ", _MARKER.sub("## ", text))
        text = text if len(text) <= limit else text[: limit - 1] + "…"
        if text == before:
            break
    return text


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern when it is first needed: all of them take 10 ms, which a script's short call would feel."""
    return re.compile(pattern)


def _mask(text: str) -> str:
    for value in tuple(_LEARNED):  # another thread may be learning
        text = text.replace(value, MASK)
    lower = text.lower()
    for words, pattern, change in _SECRETS:
        if any(word in lower for word in words):
            text = _compiled(pattern).sub(change, text)
    if "kind" in lower and _SECRET_OBJECT.search(text):
        text = _DATA.sub(_mask_data, text)
    return _BASE64_LINE.sub(_keep_ends, text) if len(text) >= _LONG else text


def is_secret_name(name: str) -> bool:
    """Tell whether a variable or option of this name holds a secret."""
    return name.upper() not in _NOT_SECRET_NAMES and _SECRET_NAME.search(name) is not None


def learn_secrets(environment: Mapping[str, str]) -> None:
    """From now on mask the values of variables whose name says that they are secret, and their base64."""
    _learn(value for name, value in environment.items() if is_secret_name(name))


def learn_arguments(argv: Iterable[str]) -> None:
    """From now on mask what a command line tells: `--password X`, `--token=X`, `NAME=value`, the password in a URL.

    Also within a script that is one argument (`sh -c "..."`).  A reference to a variable tells nothing.
    """
    _learn(value for value in _told(argv) if "$" not in value)


def _told(argv: Iterable[str]) -> Iterator[str]:
    hide = False
    for given in argv:
        if len(pieces := given.split()) > 1:
            yield from _told(pieces)
        word = given.strip("\"';()")
        if hide and not word.startswith("--"):
            yield word
        name, equals, value = word.partition("=")
        hide = word.startswith("--") and not equals and is_secret_name(name.lstrip("-"))
        if equals and is_secret_name(name.lstrip("-")):
            yield value.strip("\"'")
        yield from (match["value"] for match in _compiled(_IN_URL).finditer(word))


def _learn(secrets: Iterable[str]) -> None:
    values: set[str] = set(_LEARNED)
    for value in secrets:
        if len(value) >= _LEAST_VALUE and any(c.isalnum() for c in value):
            values.add(value)
            values.add(base64.b64encode(value.encode(errors="surrogateescape")).decode())
    _LEARNED[:] = sorted(values, key=lambda value: (-len(value), value))
    _HARMLESS.clear()


def forget_secrets() -> None:
    """Forget what was learned."""
    _LEARNED.clear()


def clean_argv(argv: Sequence[str], *, limit: int = LIMIT) -> list[str]:
    """Give a command line without its secrets: `--password X`, `NAME=value` and everything that `clean` knows."""
    cleaned = []
    hide = False
    for word in argv:
        if hide and not word.startswith("--"):
            cleaned.append(MASK)
            hide = False
            continue
        hide = word.startswith("--") and "=" not in word and is_secret_name(word.lstrip("-"))
        cleaned.append(_clean_word(word, limit))
    return cleaned


def _clean_word(word: str, limit: int) -> str:
    name, equals, value = word.partition("=")
    if equals and value and is_secret_name(name.lstrip("-")):
        return f"{clean(name, limit=limit)}={MASK}"
    return clean(word, limit=limit)


def _words(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(word for group in groups for word in group), "##", "::"]))


_WORDS = _words(words for words, _, _ in _SECRETS)
