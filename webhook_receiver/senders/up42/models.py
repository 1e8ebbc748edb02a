"""UP42's API as far as it is known: its hosts and paths, and models of its resources.

The client and the simulator share this module, so that a correction is made once. The
sources are UP42's public Python SDK ("SDK") and older copies of its documentation ("docs"); where neither says
anything the docstring says "modelled". Every model keeps the fields that it does not declare.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_serializer,
    field_validator,
)
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
"""The client id with which direct users of the API obtain tokens (docs)."""

CANCELABLE = frozenset({OrderStatus.CREATED, OrderStatus.PLACEMENT_FAILED})
"""The statuses in which an order can be cancelled (SDK)."""

Region = Literal["eu", "sa"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The URLs of the API and of the token endpoint, without a final slash."""

    api: str
    auth: str

    @classmethod
    def of(cls, region: Region) -> Self:
        """Return UP42's hosts in a region (SDK). Whether "sa" has webhooks is not known."""
        domain = {"eu": "up42.com", "sa": "sa.up42.com"}[region]
        return cls(f"https://api.{domain}", f"https://auth.{domain}")

    @classmethod
    def at(cls, url: str) -> Self:
        """Return the hosts for a server that is both, such as the simulator."""
        return cls(url.rstrip("/"), url.rstrip("/"))


def _status(text: object) -> object:
    return STATUSES.get(text, text) if isinstance(text, str) else text


SpeltStatus = Annotated[OrderStatus, BeforeValidator(_status)]
"""An order's status in either of UP42's spellings."""


def _else(default: object) -> WrapValidator:
    """Return the validator of a field that nothing needs: null there, or what it cannot be, is its default."""

    def validate(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            return default

    return WrapValidator(validate)


def _texts(value: object) -> object:
    return [each for each in cast("list[object]", value) if isinstance(each, str)] if isinstance(value, list) else value


_Text = Annotated[str, _else("")]


class Resource(BaseModel):
    """A resource of the API: snake_case in Python, camelCase in JSON."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    def as_json(self) -> dict[str, Any]:
        """Return the resource as JSON can hold it, in the API's form."""
        return self.model_dump(mode="json", by_alias=True)


class EventType(Resource):
    """An event that a webhook can be created for (docs)."""

    name: str
    """The event's name, such as "order.status"."""
    title: str = ""
    category: str = ""
    """The category: "order" or "job"."""
    description: str = ""
    documentation: str = ""
    """The URL of the documentation."""


class WebhookInput(Resource):
    """The input to create or replace a webhook (SDK). `as_json` has the secret in clear; the repr masks it."""

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
    """A webhook of a workspace (SDK). UP42 returns the secret in clear: anyone who may read the webhook can sign."""

    id: str
    created_at: datetime
    updated_at: datetime

    @field_validator("events", mode="before")
    @classmethod
    def _split(cls, events: object) -> object:
        # The docs show them as one text, "job.status, order.status"; what is sent is a list (SDK).
        if not isinstance(events, str | list | tuple | None):
            return events  # which is an error
        texts = [events or ""] if isinstance(events, str | None) else [*cast("Iterable[object]", events)]
        names = [name.strip() for text in texts if isinstance(text, str) for name in text.split(",")]
        others = [text for text in texts if not isinstance(text, str)]  # which are errors
        return (*dict.fromkeys(name for name in names if name), *others)


class WebhookTest(Resource):
    """The result of one test delivery. Modelled: the fields of a test are not known."""

    event: str
    succeeded: bool
    status: int | None = None
    """The status of the response; None when there was none."""
    error: str | None = None
    """The reason why the test did not succeed."""


class WebhookTests(Resource):
    """The results of testing a webhook. `started_at`, `tests_run` and `tests_succeeded` are known (SDK)."""

    started_at: datetime
    tests_run: int
    tests_succeeded: int
    tests_failed: int = Field(default_factory=lambda known: known.get("tests_run", 0) - known.get("tests_succeeded", 0))
    """Modelled; computed from the other two if the API does not return it."""
    tests: tuple[WebhookTest, ...] = ()
    """Modelled: one for each event; empty if the API does not return them."""


class Order(Resource):
    """An order (SDK)."""

    id: str
    display_name: _Text = ""
    status: SpeltStatus
    workspace_id: _Text = ""
    account_id: _Text = ""
    type: Annotated[str, _else("ARCHIVE")] = "ARCHIVE"
    """The type: "ARCHIVE" or "TASKING"."""
    data_product_id: Annotated[str | None, _else(None)] = None
    tags: Annotated[tuple[str, ...] | None, BeforeValidator(_texts), _else(None)] = None
    order_details: Annotated[dict[str, Any] | None, _else(None)] = None
    """Details by type; of a tasking order `subStatus` among others."""
    created_at: Annotated[datetime | None, _else(None)] = None
    updated_at: datetime

    @property
    def is_terminal(self) -> bool:
        """Whether the order's status is final."""
        return self.status in TERMINAL


class Asset(Resource):
    """An asset: one file in storage (SDK up to 2.6)."""

    id: str
    order_id: str | None = None
    name: Annotated[str | None, _else(None)] = None
    size: Annotated[int, _else(0)] = 0
    """The size, in bytes."""
    content_type: _Text = ""
    workspace_id: _Text = ""
    account_id: _Text = ""
    created_at: datetime
    updated_at: datetime


class Page(Resource, Generic[T]):
    """One page of a list (SDK)."""

    content: tuple[T, ...]
    total_pages: int
    total_elements: int = 0
    size: int = 0
    number: int = 0
    """The page's number, counted from 0."""


class Problem(Resource):
    """The `error` of a response that is no success (SDK, of other endpoints)."""

    code: int | str = ""
    message: str = ""
    details: Any = None
