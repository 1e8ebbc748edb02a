"""OpenAPI's own schema takes what we write, and a FastAPI host shows it beside its own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.schemas import schema_v31
from pydantic import BaseModel

from tests.helpers import serving
from tests.schema.receivers import RECEIVERS, handled, of_sender, usual
from webhook_receiver import WebhookReceiver
from webhook_receiver.schema.openapi import openapi
from webhook_receiver.senders.registry import presets


class OrderBody(BaseModel):
    """A model of the host, named as one of ours."""

    mine: int


def complaints(document: dict[str, Any]) -> list[str]:
    """Return what is wrong with a document by the official schema, and with its references."""
    return [each.message for each in OpenAPIV31SpecValidator(document).iter_errors()]


def test_the_schema_that_documents_are_held_to_is_the_official_one_and_finds_what_is_wrong() -> None:
    assert schema_v31["$id"].startswith("https://spec.openapis.org/oas/3.1/schema/")
    wrong = usual().openapi()
    del wrong["webhooks"]["OrderFulfilled"]["post"]["responses"]["202"]["description"]
    assert complaints(wrong) != []


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_document_is_valid(name: str) -> None:
    assert complaints(RECEIVERS[name]().openapi()) == []


def test_those_of_all_known_senders_are_valid() -> None:
    hooks = [of_sender(name) for name in presets()]
    document = openapi([(each, True) for each in hooks])
    assert complaints(document) == []
    assert len(document["webhooks"]) > len(hooks)


def test_an_event_is_a_webhook_with_its_headers_and_answers() -> None:
    document = usual().openapi()
    assert document["openapi"] == "3.1.0"
    post = document["webhooks"]["OrderFulfilled"]["post"]
    assert post["operationId"] == "up42-OrderFulfilled"
    assert post["description"].endswith("download`: Download the images.")
    assert [each["name"] for each in post["parameters"]] == ["digest", "signature-input"]
    assert post["security"] == [{"UP42Signature": []}]
    assert document["components"]["securitySchemes"]["UP42Signature"]["name"] == "signature"
    assert [*post["responses"]] == ["200", "202", "400", "401", "408", "413", "415", "503"]
    assert post["responses"]["202"] == {"description": "Stored; its handlers run afterwards."}
    problem = post["responses"]["401"]["content"]["application/problem+json"]
    assert problem == {"schema": {"$ref": "#/components/schemas/Problem"}}
    assert "400" in handled(WebhookReceiver(secret="s" * 20)).openapi()["webhooks"]["Shipped"]["post"]["responses"]
    without = handled(WebhookReceiver(secret="s" * 20)).openapi()["webhooks"]["Shipped"]["post"]["responses"]
    assert {"204", "422", "500"} <= without.keys()
    assert "202" not in without


def test_a_fastapi_host_shows_it_beside_its_own_and_keeps_its_own_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = usual()
    app = FastAPI(lifespan=hooks.lifespan, routes=[hooks.route("/webhooks")])

    @app.post("/orders")
    def create(order: OrderBody) -> None: ...

    monkeypatch.setattr(app, "openapi", lambda: hooks.openapi(FastAPI.openapi(app)))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        document = client.get("/openapi.json").json()
        assert client.get("/docs").status_code == 200
        assert client.get("/openapi.json").json() == document
    assert complaints(document) == []
    assert [*document["paths"]] == ["/orders"]
    assert {"OrderFulfilled", "OtherEvents"} <= document["webhooks"].keys()
    schemas = document["components"]["schemas"]
    assert [*schemas["OrderBody"]["properties"]] == ["mine"]
    assert [*schemas["OrderBody-2"]["properties"]] == ["status"]
    assert schemas["OrderProgress"]["properties"]["body"] == {"$ref": "#/components/schemas/OrderBody-2"}
    assert "webhooks" not in FastAPI.openapi(app)
