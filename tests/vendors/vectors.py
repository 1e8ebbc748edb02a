"""The file of a sender, `tests/vectors/SENDER.json`: some of its requests, one a line, and who takes them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from tests.signatures.mutants import Request

from .comparison import NOW, Case, Proof
from .library import Library

FOLDER = Path(__file__).parents[1] / "vectors"
MOST = 40
"""The requests in a file, about."""
REJECTED = 8
"""The requests in a file that nobody takes, at least."""


class Vectors(NamedTuple):
    """What a file says."""

    secret: str
    url: str
    time: int
    date: date
    """When the libraries said so."""
    libraries: list[Library]
    cases: list[Case]

    @property
    def verified(self) -> tuple[str, str]:
        """What the page of the sender says of it."""
        return ", ".join(map(str, self.libraries)), self.date.isoformat()


def file_of(sender: str) -> Path:
    return FOLDER / f"{sender}.json"


def read(sender: str) -> Vectors:
    told = json.loads(file_of(sender).read_text(encoding="utf-8"))
    return Vectors(
        told["secret"],
        told["url"],
        told["time"],
        date.fromisoformat(told["date"]),
        [Library(**each) for each in told["libraries"]],
        [
            Case(
                each["what"],
                Request(
                    [(name.encode(), value.encode("latin-1")) for name, value in each["headers"]],
                    b64decode(each["body"]),
                    each["ago"],
                    url=each.get("url", ""),
                ),
                each["here"],
                each["there"],
                each.get("why"),
            )
            for each in told["requests"]
        ],
    )


def write(proof: Proof, cases: Sequence[Case], today: date) -> None:
    """Write the file of a sender, with those of its requests that tell most."""
    head = {
        "sender": proof.sender,
        "secret": proof.secret,
        "url": proof.url,
        "time": NOW,
        "date": today.isoformat(),
        "libraries": [asdict(each) for each in proof.libraries],
    }
    lines = ",\n".join("  " + json.dumps(_told(case), ensure_ascii=False) for case in telling(cases))
    text = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}") + f',\n "requests": [\n{lines}\n ]\n}}\n'
    file_of(proof.sender).write_text(text, encoding="utf-8")


def telling(cases: Sequence[Case]) -> list[Case]:
    """Return the genuine requests, and of the changed ones those of a kind or a verdict that none before has."""
    genuine = [case for case in cases if case.what.startswith("signed")]
    first: dict[object, Case] = {}
    for case in cases:
        if case not in genuine and len(case.request.body) + sum(len(value) for _, value in case.request.headers) < 2000:
            kind = case.what if " and " not in case.what else "two changes"
            first.setdefault((case.here, *case.there, case.why or kind), case)
    # Those that somebody takes say more than those that everybody rejects.
    changed = sorted(first.values(), key=lambda case: not (case.here or any(case.there)))
    changed = changed[: max(12, MOST - len(genuine))]
    rejected = [case for case in cases if case.is_one and not case.here]
    more = [case for case in rejected if case not in changed]
    return [*genuine, *changed, *more[: max(0, REJECTED - sum(case in rejected for case in changed))]]


def _told(case: Case) -> dict[str, Any]:
    request = case.request
    told: dict[str, Any] = {"what": case.what, "here": case.here, "there": case.there}
    if case.why:
        told["why"] = case.why
    told["ago"] = request.signed
    if request.url:
        told["url"] = request.url
    told["headers"] = [[name.decode(), value.decode("latin-1")] for name, value in request.headers]
    told["body"] = b64encode(request.body).decode()
    return told
