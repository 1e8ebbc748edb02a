"""What the sender knows: webhooks, orders, assets and deliveries, in memory and, if wanted, in a file."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import BaseModel, Field, ValidationError

from ..errors import ConfigurationError
from ..redaction import reason
from ..senders.up42.models import Asset, Order, Resource, Webhook
from .faults import NONE, FaultPlan

_APPLICATION = 0x77682D73  # "wh-s", in the file's header
_VERSION = 1


class SendAttempt(Resource):
    """One request of a delivery, and what was answered. Its repr shows neither headers nor reason."""

    number: int
    at: float
    """In Unix seconds."""
    seconds: float
    """How long it took."""
    url: str
    headers: tuple[tuple[str, str], ...] = Field(repr=False)
    status: int | None
    """None when there was no answer."""
    reason: str = Field(default="", repr=False)
    """What the receiver said was wrong, or why there was no answer."""

    @property
    def ok(self) -> bool:
        """Whether the receiver took it: a status from 200 to 299."""
        return self.status is not None and 200 <= self.status <= 299


class Outgoing(Resource):
    """A delivery on its way to a webhook, and its attempts. Its repr does not show the body."""

    id: str
    number: int
    """Counted from 1, the first one that the sender ever made."""
    webhook_id: str
    event: str
    order_id: str | None = None
    body: str = Field(repr=False)
    created: float
    """In Unix seconds."""
    test: bool = False
    """Whether it is a test of its webhook: made once, whether or not the webhook is active."""
    mischief: FaultPlan = Field(default=NONE, repr=False)
    attempts: tuple[SendAttempt, ...] = ()
    due: float | None = None
    """When the next attempt is made, in Unix seconds; None when there is none."""
    ended: str = ""
    """What became of it: "delivered", "failed", "lost" or "dropped"; empty while it waits."""


class KeptOrder(Resource):
    """An order, and what its assets will be once it is fulfilled."""

    order: Order
    assets: int = 1
    """How many."""
    asset_size: int = 1 << 20
    """In bytes, each."""

    @property
    def id(self) -> str:
        """The order's id."""
        return self.order.id


class Kept(Resource):
    """A value of the sender's own, under a name."""

    id: str
    value: str = Field(repr=False)


class HasId(Protocol):
    """Whatever a shelf holds."""

    @property
    def id(self) -> str:
        """Unique on its shelf."""
        ...


M = TypeVar("M", bound=HasId)


class Shelf(Generic[M]):
    """Models of one kind by their ids, oldest first. What is put here is in the file, if there is one, on return."""

    def __init__(self, name: str, model: type[M], database: sqlite3.Connection | None) -> None:
        self._name = name
        self._database = database
        self._models: dict[str, M] = {}
        if database is not None:
            rows = database.execute("SELECT document FROM kept WHERE shelf = ? ORDER BY rowid", [name])
            for (document,) in rows:
                found = cast("M", cast("type[BaseModel]", model).model_validate_json(document))
                self._models[found.id] = found

    def __iter__(self) -> Iterator[M]:
        return iter([*self._models.values()])

    def __len__(self) -> int:
        return len(self._models)

    def get(self, id: str) -> M | None:
        """Return the model of this id, None if there is none."""
        return self._models.get(id)

    def newest(self) -> M | None:
        """Return the model that came last, None if there is none."""
        return next(reversed(self._models.values()), None)

    def put(self, *models: M) -> None:
        """Keep models, all or none of them; one with the id of another takes its place."""
        if self._database is not None:
            rows = [(self._name, model.id, cast("BaseModel", model).model_dump_json(by_alias=True)) for model in models]
            with self._database:
                self._database.executemany(
                    "INSERT INTO kept VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET document = excluded.document", rows
                )
        self._models.update((model.id, model) for model in models)

    def remove(self, *ids: str) -> None:
        """Forget the models of these ids."""
        if self._database is not None:
            with self._database:
                self._database.executemany(
                    "DELETE FROM kept WHERE shelf = ? AND id = ?", [(self._name, id) for id in ids]
                )
        for id in ids:
            self._models.pop(id, None)


class State:
    """All that the sender knows.

    Args:
        path: the file to keep it in, made if it is not there, readable by its owner only, since it holds the
            webhooks' secrets. It survives a `kill -9`, and is for one sender at a time. None keeps it in memory.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._database = None if path is None else _opened(path)
        try:
            self.webhooks = Shelf("webhook", Webhook, self._database)
            self.orders = Shelf("order", KeptOrder, self._database)
            self.assets = Shelf("asset", Asset, self._database)
            self.outgoing = Shelf("outgoing", Outgoing, self._database)
            self._own = Shelf("own", Kept, self._database)
            key = self._own.get("key") or Kept(id="key", value=secrets.token_urlsafe(32))
            self._own.put(key)
            self.key = key.value.encode()
            """What tokens and downloads are signed with."""
        except ValidationError as error:
            self.close()
            raise ConfigurationError(f"{path} holds what this sender cannot read: {reason(error)}") from None

    @property
    def mischief(self) -> FaultPlan:
        """What is done to the deliveries that are made from now on."""
        kept = self._own.get("mischief")
        return NONE if kept is None else FaultPlan.model_validate_json(kept.value)

    @mischief.setter
    def mischief(self, mischief: FaultPlan) -> None:
        self._own.put(Kept(id="mischief", value=mischief.model_dump_json(by_alias=True)))

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(path, timeout=0, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"cannot keep the sender's state in {path}: {said}") from None
    try:
        _prepare(database, path)
    except sqlite3.OperationalError as error:
        database.close()
        if "locked" in str(error):
            raise ConfigurationError(
                f"another sender uses {path}: stop it, or give this one a file of its own"
            ) from None
        raise ConfigurationError(f"cannot keep the sender's state in {path}: {error}") from None
    except sqlite3.DatabaseError:
        database.close()
        raise ConfigurationError(f"{path} is not a sender's state, or is damaged: name another file") from None
    except ConfigurationError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Lock the file until it is closed, and make its table where there is none."""
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("BEGIN EXCLUSIVE")
    with database:
        tables: list[Any] = database.execute("SELECT name FROM sqlite_schema").fetchall()
        with closing(database.execute("PRAGMA application_id")) as found:
            application = found.fetchone()[0]
        with closing(database.execute("PRAGMA user_version")) as found:
            version = found.fetchone()[0]
        if tables and (application, version) != (_APPLICATION, _VERSION):
            raise ConfigurationError(f"{path} is another program's, or another version's: name another file")
        database.execute(f"PRAGMA application_id = {_APPLICATION}")
        database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute(
            "CREATE TABLE IF NOT EXISTS kept (shelf TEXT, id TEXT, document TEXT NOT NULL, PRIMARY KEY (shelf, id))"
        )
    database.execute("PRAGMA journal_mode = WAL")  # a commit outlives the process without waiting for the disk
    database.execute("PRAGMA synchronous = NORMAL")
