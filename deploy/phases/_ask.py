"""Asks a model server whether it is ready, what it serves, and one question; the part of verify that reads JSON.

Standard library only, so that any Python 3 will do.  Ends with 0 when the question was answered, else with 1 and a
sentence on stderr.
"""

# ruff: noqa: INP001 - started by its path, part of no package
from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

# The address is this machine's own or that of a load balancer of ours: no proxy stands between.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NoAnswerError(Exception):
    """The server did not say what was asked for; the text says what it did instead."""


def ask(url: str, body: dict[str, Any] | None = None, timeout: float = 10) -> str:
    """Return the text that the server answers with status 200."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - http only, see main
    try:
        with _direct.open(request, timeout=timeout) as answer:
            return str(answer.read(1 << 20), "utf-8", "replace")
    except urllib.error.HTTPError as error:
        said = error.read(500).decode("utf-8", "replace").strip()
        raise NoAnswerError(f"{url} answered {error.code}: {said}") from error
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", error) or type(error).__name__
        raise NoAnswerError(f"{url} did not answer: {why}") from error


def wait_until_ready(base: str, seconds: float) -> None:
    """Ask for readiness until it is given; load balancers need a while before they send anything on."""
    end = time.monotonic() + seconds
    while True:
        try:
            ask(f"{base}/v1/health/ready")
        except NoAnswerError:
            if time.monotonic() >= end:
                raise
            time.sleep(1)
        else:
            return


def served_model(base: str) -> str:
    """Return the name of the first model that is served."""
    text = ask(f"{base}/v1/models")
    try:
        return str(json.loads(text)["data"][0]["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise NoAnswerError(f"{base}/v1/models names no model; it says: {text[:300]}") from error


def answer_to(base: str, model: str, question: str) -> str:
    """Return the model's answer to a question."""
    # The first answer of a cold model may take a while.
    text = ask(
        f"{base}/v1/chat/completions",
        {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 32},
        timeout=120,
    )
    try:
        content = json.loads(text)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise NoAnswerError(f"{base}/v1/chat/completions is no completion; it says: {text[:300]}") from error
    if not content:
        raise NoAnswerError(f"{base}/v1/chat/completions came back empty")
    return str(content)


def printable(text: str) -> str:
    """Return a model's text as one harmless line."""
    return "".join(c if c.isprintable() else " " for c in text)[:200]


def main() -> int:
    """Ask, and print what came back."""
    parser = argparse.ArgumentParser(description="Ask a model server whether it serves.")
    parser.add_argument("base", help="such as http://127.0.0.1:8000")
    parser.add_argument("--within", type=float, default=60, help="seconds to wait until it is ready")
    arguments = parser.parse_args()
    if not arguments.base.startswith("http://"):
        parser.error("only http:// is spoken")
    question = "In one word: are you there?"
    try:
        wait_until_ready(arguments.base, arguments.within)
        print("ready      /v1/health/ready says 200")
        model = served_model(arguments.base)
        print(f"model      {printable(model)}")
        start = time.monotonic()
        answer = answer_to(arguments.base, model, question)
        print(f"answer     {printable(answer)!r} to {question!r} after {time.monotonic() - start:.2f} s")
    except NoAnswerError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
