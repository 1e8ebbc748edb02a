"""A library of a sender, and the process that asks it: one JSON document a line, there and back."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from base64 import b64encode
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from tests.signatures.mutants import Pairs, Request


@dataclass(frozen=True)
class Library:
    """A published library that signs or verifies for a sender."""

    package: str
    version: str
    language: Literal["Python", "Node"]
    function: str
    """What verifies, as its documentation has it."""
    signs: bool = False
    """Whether it signs, too."""
    is_official: bool = True
    """Whether the sender itself publishes it."""
    extra: str = ""
    """The extra of a package for Python that it needs."""
    is_alone: bool = False
    """Whether it does without what its package depends on, which would be hundreds of others."""

    @property
    def requirement(self) -> str:
        extra = f"[{self.extra}]" if self.extra else ""
        return f"{self.package}{extra}{'==' if self.language == 'Python' else '@'}{self.version}"

    def __str__(self) -> str:
        return f"{self.package} {self.version} ({self.language})"


class Driver:
    """A process in which one library answers."""

    def __init__(self, process: subprocess.Popen[str], secret: str) -> None:
        self._process = process
        self._secret = secret

    def sign(self, request: Request, url: str, now: int) -> Pairs:
        """Return the headers with which the library signs a request at a time."""
        answer = self._ask("sign", request, url, now)
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in answer["headers"]]

    def takes(self, request: Request, url: str, now: int) -> bool:
        """Return whether the library takes a request at a time."""
        taken: bool = self._ask("verify", request, url, now)["taken"]
        return taken

    def why(self, request: Request, url: str, now: int) -> str:
        """Return what the library says of a request at a time, to be read by people."""
        return str(self._ask("verify", request, url, now))

    def _ask(self, what: str, request: Request, url: str, now: int) -> dict[str, Any]:
        question = {
            "do": what,
            "method": "POST",
            "url": request.url or url,
            "headers": request.text(),
            "body": b64encode(request.body).decode(),
            "secret": self._secret,
            "time": now,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver has ended"
        answer: dict[str, Any] = json.loads(line)
        assert "broken" not in answer, answer["broken"]
        return answer


@contextmanager
def driving(command: Sequence[str], sender: str, library: Library, secret: str) -> Generator[Driver]:
    """Start the process that asks a library of a sender; yield what talks to it.

    Args:
        command: what starts the driver.
        sender: the sender's name.
        library: the library.
        secret: the secret that it verifies and signs with.
    """
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*command, f"{sender}:{library.package}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        patience = threading.Timer(600, process.kill)
        patience.start()
        try:
            with process:
                yield Driver(process, secret)
        except (AssertionError, BrokenPipeError) as error:
            said.seek(0)
            raise AssertionError(f"{library} for {sender}: {error}\n{said.read()[-2000:]}") from error
        finally:
            patience.cancel()
