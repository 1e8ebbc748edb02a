"""AsyncAPI's own parser takes what we write; what it means is looked at here."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.schema.receivers import RECEIVERS, handled, of_sender, usual
from webhook_receiver import AnyOf, BasicAuth, BearerJWT, HMACBody, UP42Signature, WebhookReceiver
from webhook_receiver.schema.asyncapi import asyncapi
from webhook_receiver.senders.catalogue import github

PARSER = "@asyncapi/parser@3.6.3"
"""The official parser and validator."""
SCRIPT = """
import { Parser } from "@asyncapi/parser";
import { readFileSync } from "node:fs";

const parser = new Parser();
const found = {};
for (const [name, text] of Object.entries(JSON.parse(readFileSync(0, "utf-8")))) {
  const { document, diagnostics } = await parser.parse(text);
  const wrong = diagnostics.filter((each) => each.severity < 2).map((each) => `${each.message} at ${each.path}`);
  const operations = document ? document.operations().all() : [];
  found[name] = {
    wrong,
    operations: operations.map((each) => [each.action(), each.messages().all().map((message) => message.name())]),
  };
}
console.log(JSON.stringify(found));
"""
USUAL = "tests.schema.receivers.usual.locals"
SENDERS = ("github", "stripe", "slack", "google-pubsub", "meta", "planet-orders", "twilio")


def parsed(documents: dict[str, dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the official parser says of documents."""
    folder.joinpath("package.json").write_text('{"type": "module", "private": true}', encoding="utf-8")
    folder.joinpath("parse.js").write_text(SCRIPT, encoding="utf-8")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PARSER]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    given = json.dumps({name: json.dumps(each) for name, each in documents.items()})
    done = subprocess.run(
        ["node", "parse.js"], cwd=folder, input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="the parser runs on Node, and node or npm is not here"
)
def test_the_official_parser_takes_every_document_and_reads_the_same_and_finds_what_is_wrong(tmp_path: Path) -> None:
    documents = {name: make().asyncapi() for name, make in RECEIVERS.items()}
    documents |= {name: of_sender(name).asyncapi() for name in SENDERS}
    several = [(usual(), "/webhooks"), (handled(WebhookReceiver(sender=github("s" * 20))), "/github"), (usual(), None)]
    documents["a path with a parameter"] = asyncapi([(usual(), "/{tenant:int}/webhooks")])
    documents["several"] = asyncapi(several, title="All", version="2.1")
    wrong = usual().asyncapi()
    del wrong["operations"][f"{USUAL}.rest"]["action"]
    found = parsed({**documents, "wrong": wrong}, tmp_path)
    assert found.pop("wrong")["wrong"] != []
    assert {name: each["wrong"] for name, each in found.items()} == {name: [] for name in documents}
    assert found["usual"]["operations"] == [
        ["receive", ["order.status", "order.status", "job.status", "OtherEvents"]],
        ["receive", ["order.status"]],
    ]


def test_a_receiver_is_a_channel_and_each_handler_an_operation_with_its_messages() -> None:
    document = usual().asyncapi(title="Orders", version="2.1")
    assert (document["asyncapi"], document["info"]) == ("3.0.0", {"title": "Orders", "version": "2.1"})
    assert document["servers"] == {"up42": {"host": "example.com", "protocol": "https"}}
    channel = document["channels"]["up42"]
    assert (channel["address"], channel["servers"]) == ("/webhooks", [{"$ref": "#/servers/up42"}])
    download = document["operations"][f"{USUAL}.download"]
    assert download["title"].endswith(":usual.<locals>.download")
    assert (download["action"], download["summary"]) == ("receive", "Download the images")
    assert download["messages"] == [{"$ref": "#/channels/up42/messages/OrderFulfilled"}]
    assert download["security"] == [{"$ref": "#/components/securitySchemes/UP42Signature"}]
    assert document["components"]["messages"]["OrderFulfilled"]["payload"] == {
        "$ref": "#/components/schemas/OrderFulfilled"
    }


def test_an_address_that_is_not_known_is_null_and_one_that_is_given_counts() -> None:
    hooks = WebhookReceiver(secret="KbsDE5kGZoDiPCFd")
    assert hooks.asyncapi()["channels"]["up42"]["address"] is None
    assert asyncapi([(hooks, "/in")])["channels"]["up42"]["address"] == "/in"
    assert "servers" not in hooks.asyncapi()


def test_receivers_of_one_name_and_handlers_of_one_name_have_keys_of_their_own() -> None:
    document = asyncapi([(usual(), "/a"), (usual(), "/b")])
    assert [each["address"] for each in document["channels"].values()] == ["/a", "/b"]
    assert {*document["channels"]} == {"up42", "up42-2"}
    assert {*document["components"]["securitySchemes"]} == {"UP42Signature"}  # which is the same
    assert {*document["components"]["schemas"]} == {*usual().asyncapi()["components"]["schemas"]}
    of_second = document["operations"][f"{USUAL}.rest-2"]
    assert of_second["channel"] == {"$ref": "#/channels/up42-2"}


def test_one_of_several_proofs_will_do_and_what_all_have_is_needed() -> None:
    signed: dict[str, Any] = {"timestamp": "x-time", "signed": "{timestamp}.{body}"}
    schemes = [HMACBody("s" * 20, signature=f"x-signature-{name}", **signed) for name in "ab"]
    hooks = handled(WebhookReceiver(scheme=AnyOf(*schemes), name="two"))
    document = hooks.asyncapi()
    headers = document["components"]["messages"]["Shipped"]["headers"]
    schema = Draft202012Validator(headers)
    assert headers["required"] == ["x-time"]
    assert schema.is_valid({"x-time": "1", "x-signature-a": "1"})
    assert schema.is_valid({"x-time": "1", "x-signature-b": "1"})
    assert not schema.is_valid({"x-time": "1"})
    assert not schema.is_valid({"x-signature-a": "1"})
    names = [*document["components"]["securitySchemes"]]
    (operation, *_) = document["operations"].values()
    assert operation["security"] == [{"$ref": f"#/components/securitySchemes/{name}"} for name in names]
    assert len(names) == 2
    post = hooks.openapi()["webhooks"]["Shipped"]["post"]
    assert post["security"] == [{name: []} for name in names]
    assert [(each["name"], each["required"]) for each in post["parameters"]] == [("x-time", True)]


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (UP42Signature("s" * 20), {"type": "httpApiKey", "in": "header", "name": "signature"}),
        (HMACBody("s" * 20, signature="x-sig"), {"type": "httpApiKey", "in": "header", "name": "x-sig"}),
        (BasicAuth("s" * 20, username="me"), {"type": "http", "scheme": "basic"}),
        (
            BearerJWT("s" * 32, algorithm="HS256"),
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        ),
    ],
)
def test_the_proof_is_that_which_a_signed_request_has(scheme: Any, expected: dict[str, str]) -> None:
    (found,) = WebhookReceiver(scheme=scheme).asyncapi()["components"]["securitySchemes"].values()
    assert found == {**expected, "description": f"Deliveries prove themselves by {type(scheme).__name__}."}
