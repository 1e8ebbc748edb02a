"""UP42's API as far as it is known: its hosts and paths, and models of what goes over it.

The client and the local test server both read it from here, so what turns out to be otherwise is changed once. The
sources are UP42's public Python SDK ("SDK") and older copies of its documentation ("docs"); where neither says
anything the docstring says "modelled". Every model keeps the fields that it does not declare.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer, field_validator
from pydantic.alias_generators import to_camel

from ...events import OrderStatus
from .events import STATUSES
from .orders_api import TERMINAL

EVENTS = "/webhooks/events"
WEBHOOKS = "/workspaces/{workspace_id}/webhooks"
WEBHOOK = WEBHOOKS + "/{webhook_id}"
TESTS = WEBHOOK + "/tests"
ORDERS = "/v2/orders"
ORDER = ORDERS + "/{order_id}"
CANCELLATION = ORDER + "/cancellation"
ASSETS = "/v2/assets"
ASSET = ASSETS + "/{asset_id}/metadata"
DOWNLOAD = ASSETS + "/{asset_id}/download-url"
OPENID = "/realms/public/protocol/openid-connect"
TOKEN = OPENID + "/token"
USER_INFO = OPENID + "/userinfo"

CLIENT_ID = "up42-api"
"""What direct users of the API call themselves when they ask for a token (docs)."""

CANCELABLE = frozenset({OrderStatus.CREATED, OrderStatus.PLACEMENT_FAILED})
"""The statuses in which an order can be cancelled (SDK)."""

Region = Literal["eu", "sa"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where the API and the tokens are, as URLs without a slash at the end."""

    api: str
    auth: str

    @classmethod
    def of(cls, region: Region) -> Self:
        """Return UP42's hosts of a region (SDK). Whether "sa" has webhooks is not known."""
        domain = {"eu": "up42.com", "sa": "sa.up42.com"}[region]
        return cls(f"https://api.{domain}", f"https://auth.{domain}")

    @classmethod
    def at(cls, url: str) -> Self:
        """Return the hosts of a server that is both, as the local test server is."""
        return cls(url.rstrip("/"), url.rstrip("/"))


class Resource(BaseModel):
    """What goes over the API: snake_case here, camelCase there."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    def as_json(self) -> dict[str, Any]:
        """Return it as it goes over the API."""
        return self.model_dump(mode="json", by_alias=True)


class EventType(Resource):
    """An event that a webhook can be created for (docs)."""

    name: str
    """Such as "order.status"."""
    title: str = ""
    category: str = ""
    """"order" or "job"."""
    description: str = ""
    documentation: str = ""
    """A URL."""


class WebhookInput(Resource):
    """What a webhook is created from, and replaced by (SDK). `as_json` has the secret in clear; the repr masks it."""

    name: str
    url: str
    events: tuple[str, ...]
    secret: SecretStr | None = None
    active: bool = False

    @field_validator("secret", mode="after")
    @classmethod
    def _none_when_empty(cls, secret: SecretStr | None) -> SecretStr | None:
        # The SDK's fixtures have "" where there is none.
        return secret if secret is not None and secret.get_secret_value() else None

    @field_serializer("secret", when_used="json")
    def _in_clear(self, secret: SecretStr | None) -> str | None:
        return None if secret is None else secret.get_secret_value()


class Webhook(WebhookInput):
    """A webhook of a workspace (SDK). Whoever may read it may sign: UP42 returns the secret in clear."""

    id: str
    created_at: datetime
    updated_at: datetime


class WebhookTest(Resource):
    """What came of one test delivery. Modelled: nothing is known of a test's members."""

    event: str
    succeeded: bool
    status: int | None = None
    """What the webhook's URL answered; None when it did not."""
    error: str | None = None
    """Why it did not succeed."""


class WebhookTests(Resource):
    """What came of testing a webhook. `started_at`, `tests_run` and `tests_succeeded` are known (SDK)."""

    started_at: datetime
    tests_run: int
    tests_succeeded: int
    tests_failed: int = Field(default_factory=lambda known: known.get("tests_run", 0) - known.get("tests_succeeded", 0))
    """Modelled; counted from the other two where the sender does not say it."""
    tests: tuple[WebhookTest, ...] = ()
    """Modelled: one for each event; empty where the sender does not say."""


class Order(Resource):
    """An order (SDK)."""

    id: str
    display_name: str = ""
    status: OrderStatus
    workspace_id: str
    account_id: str = ""
    type: str = "ARCHIVE"
    """"ARCHIVE" or "TASKING"."""
    data_product_id: str | None = None
    tags: tuple[str, ...] | None = None
    order_details: dict[str, Any] | None = None
    """Of a tasking order, `subStatus` among others."""
    created_at: datetime
    updated_at: datetime

    @field_validator("status", mode="before")
    @classmethod
    def _known(cls, status: object) -> object:
        return STATUSES.get(status, status) if isinstance(status, str) else status

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will become of it."""
        return self.status in TERMINAL


class Asset(Resource):
    """One file in storage (SDK up to 2.6)."""

    id: str
    order_id: str | None = None
    name: str | None = None
    size: int = 0
    """In bytes."""
    content_type: str = ""
    workspace_id: str = ""
    account_id: str = ""
    created_at: datetime
    updated_at: datetime


class Page(Resource, Generic[T]):
    """One page of a list (SDK)."""

    content: tuple[T, ...]
    total_pages: int
    total_elements: int = 0
    size: int = 0
    number: int = 0
    """Which page it is, counted from 0."""


class Problem(Resource):
    """What is in `error` of an answer that is no success (SDK, of other endpoints)."""

    code: int | str = ""
    message: str = ""
    details: Any = None
