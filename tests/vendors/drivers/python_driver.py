"""Asks one library for Python: `python python_driver.py SENDER:PACKAGE`, a question a line, an answer a line.

A question is a request, a secret and a time: the clock of the library shows that time. It runs in the environment of
the libraries, so it has nothing of this project; what it imports is not known where the project is checked.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any


class Question:
    """A request, and with which secret and when to sign or verify it."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self.method: str = asked["method"]
        self.url: str = asked["url"]
        self.headers: dict[str, str] = asked["headers"]
        self.body = b64decode(asked["body"])
        self.secret: str = asked["secret"]
        self.time: int = asked["time"]

    @property
    def text(self) -> str:
        """The body as text, for libraries that take no bytes."""
        return self.body.decode()

    def header(self, name: str) -> str:
        return self.headers[name]

    @property
    def title_case(self) -> dict[str, str]:
        return {name.title(): value for name, value in self.headers.items()}


Verify = Callable[[Question], object]
"""Returns anything but False for a request that the library takes; returns False, or raises, for another one."""
Sign = Callable[[Question], Mapping[str, str]]
"""Returns the headers of a request."""

LIBRARIES: dict[str, Callable[[], Verify | tuple[Verify, Sign]]] = {}


def library(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def named(ask: Callable[[], Any]) -> Callable[[], Any]:
        LIBRARIES[name] = ask
        return ask

    return named


@library("github:gidgethub")
def gidgethub() -> Verify:
    sansio = import_module("gidgethub.sansio")
    return lambda asked: sansio.validate_event(
        asked.body, signature=asked.header("x-hub-signature-256"), secret=asked.secret
    )


@library("stripe:stripe")
def stripe() -> tuple[Verify, Sign]:
    library = import_module("stripe")

    def verify(asked: Question) -> object:
        return library.Webhook.construct_event(asked.body, asked.header("stripe-signature"), asked.secret)

    def sign(asked: Question) -> Mapping[str, str]:
        value = library.WebhookSignature.generate_signature_header(asked.text, asked.secret, asked.time)
        return {"stripe-signature": value}

    return verify, sign


@library("slack:slack_sdk")
def slack() -> tuple[Verify, Sign]:
    verifier = import_module("slack_sdk.signature").SignatureVerifier

    def sign(asked: Question) -> Mapping[str, str]:
        value = verifier(asked.secret).generate_signature(timestamp=str(asked.time), body=asked.body)
        return {"x-slack-request-timestamp": str(asked.time), "x-slack-signature": value}

    return lambda asked: verifier(asked.secret).is_valid_request(asked.body, asked.headers), sign


def standard(module: str, prefix: str, **options: Any) -> tuple[Verify, Sign]:
    webhook = import_module(module).Webhook

    def sign(asked: Question) -> Mapping[str, str]:
        id, time = asked.headers[f"{prefix}-id"], datetime.fromtimestamp(asked.time, UTC)
        value = webhook(asked.secret).sign(id, time, asked.text)
        return {f"{prefix}-timestamp": str(asked.time), f"{prefix}-signature": value}

    return lambda asked: webhook(asked.secret).verify(asked.body, asked.headers, **options), sign


@library("standard-webhooks:standardwebhooks")
def standardwebhooks() -> tuple[Verify, Sign]:
    return standard("standardwebhooks.webhooks", "webhook", json_parse=False)


@library("svix:svix")
def svix() -> tuple[Verify, Sign]:
    return standard("svix.webhooks", "svix")


@library("http-message:http-message-signatures")
def http_message_signatures() -> tuple[Verify, Sign]:
    library = import_module("http_message_signatures")
    covered = ("@method", "@target-uri")

    def keys(asked: Question) -> Mapping[str, Any]:
        key = {"key-1": asked.secret.encode()}
        resolver = import_module("http_message_signatures.resolvers").MappingKeyResolver
        return {
            "signature_algorithm": library.algorithms.HMAC_SHA256,
            "key_resolver": resolver(public_keys=key, private_keys=key),
        }

    def message(asked: Question) -> SimpleNamespace:
        return SimpleNamespace(method=asked.method, url=asked.url, headers=dict(asked.headers))

    def verify(asked: Question) -> object:
        verifier = library.HTTPMessageVerifier(**keys(asked))
        verifier.max_clock_skew = timedelta(seconds=300)
        components = (*covered, "content-digest")
        return verifier.verify(message(asked), max_age=timedelta(0), require_components=components, body=asked.body)

    def sign(asked: Question) -> Mapping[str, str]:
        signed, created = message(asked), datetime.fromtimestamp(asked.time, UTC)
        library.HTTPMessageSigner(**keys(asked)).sign(
            signed, key_id="key-1", created=created, covered_component_ids=covered, body=asked.body
        )
        return {name: value for name, value in signed.headers.items() if name not in asked.headers}

    return verify, sign


def main() -> None:
    """Answer questions until there are none."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # some libraries print
    time_machine = import_module("time_machine")
    asked_for = LIBRARIES[sys.argv[1]]()
    verify, sign = asked_for if isinstance(asked_for, tuple) else (asked_for, None)
    for line in sys.stdin:
        asked = json.loads(line)
        question = Question(asked)
        with time_machine.travel(question.time, tick=False):
            try:
                if asked["do"] == "sign":
                    answer = {"headers": [*sign(question).items()]} if sign else {"broken": "it does not sign"}
                else:
                    answer = answered(verify, question)
            except Exception:
                answer = {"broken": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def answered(verify: Verify, question: Question) -> dict[str, Any]:
    try:
        verdict = verify(question)
        if asyncio.iscoroutine(verdict):
            verdict = asyncio.run(verdict)
    except Exception as error:  # many raise all sorts of errors for what is no request of theirs
        return {"taken": False, "why": f"{type(error).__name__}: {error}"}
    return {"taken": verdict is not False, "why": str(type(verdict).__name__)}


if __name__ == "__main__":
    main()
