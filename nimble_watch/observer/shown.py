"""What a program said on a terminal, without how it was painted: escape sequences left out, full screens too.

Colours and cursor movements stand between the words that the rules look for.  And what an editor or a pager shows on
the alternate screen is a file that somebody looks at, not something that happened: an old log in `less` is no error.

The sequences are those of ECMA-48 (CSI, and the strings OSC, DCS, SOS, PM, APC); the alternate screen is the private
mode 1049 of xterm, or 1047 or 47 of older programs.
"""

from __future__ import annotations

import re

_LONGEST = 4096  # bytes of a sequence whose end has not come: then it is none
_SEQUENCE = re.compile(
    rb"\x1b(?:"
    rb"\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"  # CSI
    rb"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # a string, up to BEL or ST
    rb"|[ -/]+[0-~]"  # a character set, and the like
    rb"|[0-OQ-WYZ\\`-~]"  # one letter
    rb")"
)
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_SCREENS = (b"1049", b"1047", b"47")


class Shown:
    """Follows one stream; a sequence may come in pieces."""

    def __init__(self) -> None:
        self._begun = b""
        self._full_screen = False

    def words(self, data: bytes) -> bytes:
        """Take bytes in and give those that say something."""
        if b"\x1b" not in data and not self._begun and not self._full_screen:
            return data
        data = self._begun + data
        begun = _BEGUN.search(data, max(0, len(data) - _LONGEST))
        self._begun = begun.group() if begun else b""
        data = data[: len(data) - len(self._begun)]
        words, at = [], 0
        for sequence in _SEQUENCE.finditer(data):
            words.append(self._kept(data[at : sequence.start()]))
            at = sequence.end()
            self._follow(sequence["parameters"] or b"", sequence["final"])
        words.append(self._kept(data[at:]))
        return b"".join(words)

    def _kept(self, data: bytes) -> bytes:
        return b"" if self._full_screen else data

    def _follow(self, parameters: bytes, final: bytes | None) -> None:
        if final in (b"h", b"l") and parameters.startswith(b"?") and parameters[1:] in _SCREENS:
            self._full_screen = final == b"h"
