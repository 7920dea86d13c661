"""The chunks of an answer, many at a time.

An API server sends each event of a watch as a chunk of its own, and Python's and urllib3's ways of reading give them
one by one, in three reads each: that alone costs as much as decoding the event, and each read lets another thread have
the interpreter.  Here all chunks that are there already come at once, and what is there is never held back.
"""

from __future__ import annotations

import http.client

_LONGEST = 65_536
_EMPTY_LINE = b"\r\n"


class Framing:
    """Takes the frames away from a chunked body (RFC 9112, section 7.1), however it is cut into pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        self._first = True
        self._trailer = False
        self.over = False
        """Whether the body is complete, its trailer included."""

    def take(self, piece: bytes) -> bytes:
        """Give what the next piece holds of the body; raises `ValueError` when it is not chunked as it should be."""
        data = self._rest + piece if self._rest else piece
        parts: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self._trailer:
            if not self._left:
                begin = at if self._first else at + 2  # an empty line ends the chunk before
                stop = data.find(b"\r\n", begin)
                if stop < 0:
                    break
                size = int(data[begin:stop].partition(b";")[0], 16)
                if size < 0 or (begin > at and data[at:begin] != _EMPTY_LINE):
                    raise ValueError("the chunks of the answer are out of step")
                self._first = False
                self._left, at = size, stop + 2
                if not size:
                    self._trailer = True
                    break
            part = data[at : at + self._left]
            parts.append(part)
            self._left -= len(part)
            at += len(part)
        self._rest = data[at:]
        if self._trailer:
            self._end()
        elif len(self._rest) > _LONGEST:
            raise ValueError("the size of a chunk does not end")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _end(self) -> None:
        """See whether the trailer is complete: fields, which nobody sends, and an empty line."""
        self.over = self._rest.startswith(_EMPTY_LINE) or b"\r\n\r\n" in self._rest
        if not self.over and len(self._rest) > _LONGEST:
            raise ValueError("the trailer of the answer does not end")


class Answer(http.client.HTTPResponse):
    """An answer whose `read1` gives all chunks that are there; a body is read either by it or by the other ways."""

    _framing: Framing | None = None

    def read1(self, n: int = -1) -> bytes:
        """Read what is there, at most `n` bytes, waiting only while there is nothing; empty at the end."""
        if self.fp is None or not self.chunked or n <= 0:
            return super().read1(n)
        framing = self._framing = self._framing or Framing()
        while True:
            piece = self.fp.read1(n)
            if not piece:
                self.close()
                raise http.client.IncompleteRead(b"")
            try:
                body = framing.take(piece)
            except ValueError as error:
                self.close()
                raise http.client.IncompleteRead(b"") from error
            if framing.over:
                self.close()
            if body or framing.over:
                return body
