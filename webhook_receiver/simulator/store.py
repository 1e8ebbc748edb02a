"""The store of the simulator: webhooks, orders, assets and deliveries, in memory and, if wanted, in a file."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from ..errors import ConfigurationError
from ..redaction import reason
from ..senders.up42.models import Asset, Order, Resource, Webhook
from .faults import NONE, FaultPlan

_APPLICATION = 0x77682D73  # "wh-s", in the file's header
_VERSION = 1
_OLD_FAULTS = "mischief"  # the name of the fault plan in older files


class SendAttempt(Resource):
    """One request of a delivery, and its response. The repr shows neither headers nor reason."""

    number: int
    at: float
    """The time of the attempt, in Unix seconds."""
    seconds: float
    """The duration, in seconds."""
    url: str
    headers: tuple[tuple[str, str], ...] = Field(repr=False)
    status: int | None
    """The response's status; None when there was no response."""
    reason: str = Field(default="", repr=False)
    """The receiver's reason for its response, or why there was no response."""


class Outgoing(Resource):
    """A delivery to a webhook, with its attempts. The repr does not show the body."""

    id: str
    number: int
    """The delivery's number, counted from 1 since the simulator began."""
    webhook_id: str
    event: str
    order_id: str | None = None
    body: str = Field(repr=False)
    created: float
    """The time of its creation, in Unix seconds."""
    test: bool = False
    """Whether the delivery tests its webhook: it is attempted once, even if the webhook is inactive."""
    faults: FaultPlan = Field(default=NONE, repr=False, validation_alias=AliasChoices("faults", _OLD_FAULTS))
    attempts: tuple[SendAttempt, ...] = ()
    due: float | None = None
    """The time of the next attempt, in Unix seconds; None when there is none."""
    ended: str = ""
    """How the delivery ended: "delivered", "failed", "lost" or "dropped"; empty while it waits."""


class StoredOrder(Resource):
    """An order, with the number and size of the assets that it has once it is fulfilled."""

    order: Order
    assets: int = 1
    """The number of assets."""
    asset_size: int = 1 << 20
    """The size of each asset, in bytes."""

    @property
    def id(self) -> str:
        """The order's id."""
        return self.order.id


class Setting(Resource):
    """A setting of the simulator; its id is its name."""

    id: str
    value: str = Field(repr=False)


class HasId(Protocol):
    """A model that a shelf can hold."""

    @property
    def id(self) -> str:
        """The id, unique on its shelf."""
        ...


M = TypeVar("M", bound=HasId)


class Shelf(Generic[M]):
    """Models of one kind by their ids, oldest first; `put` returns once they are in the file, if there is one."""

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
        """Return the model of this id, or None."""
        return self._models.get(id)

    def newest(self) -> M | None:
        """Return the model that was added last, or None."""
        return next(reversed(self._models.values()), None)

    def put(self, *models: M) -> None:
        """Add models, all or none of them; a model with the id of another replaces it."""
        if self._database is not None:
            rows = [(self._name, model.id, cast("BaseModel", model).model_dump_json(by_alias=True)) for model in models]
            with self._database:
                self._database.executemany(
                    "INSERT INTO kept VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET document = excluded.document", rows
                )
        self._models.update((model.id, model) for model in models)

    def remove(self, *ids: str) -> None:
        """Remove the models of these ids."""
        if self._database is not None:
            with self._database:
                self._database.executemany(
                    "DELETE FROM kept WHERE shelf = ? AND id = ?", [(self._name, id) for id in ids]
                )
        for id in ids:
            self._models.pop(id, None)


class Store:
    """The simulator's webhooks, orders, assets, deliveries and settings.

    Args:
        path: the file that holds them, created if it does not exist, readable by its owner only, since it holds the
            webhooks' secrets. It survives a `kill -9`, and is for one simulator at a time. None means memory only.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._database = None if path is None else _opened(path)
        try:
            self.webhooks = Shelf("webhook", Webhook, self._database)
            self.orders = Shelf("order", StoredOrder, self._database)
            self.assets = Shelf("asset", Asset, self._database)
            self.outgoing = Shelf("outgoing", Outgoing, self._database)
            self._own = Shelf("own", Setting, self._database)
            key = self._own.get("key") or Setting(id="key", value=secrets.token_urlsafe(32))
            self._own.put(key)
            self.key = key.value.encode()
            """The key that signs tokens and download URLs."""
        except ValidationError as error:
            self.close()
            raise ConfigurationError(f"{path} holds data that this simulator cannot read: {reason(error)}") from None

    @property
    def faults(self) -> FaultPlan:
        """The fault plan of the deliveries that are made from now on."""
        found = self._own.get("faults") or self._own.get(_OLD_FAULTS)
        return NONE if found is None else FaultPlan.model_validate_json(found.value)

    @faults.setter
    def faults(self, faults: FaultPlan) -> None:
        self._own.put(Setting(id="faults", value=faults.model_dump_json(by_alias=True)))

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
        raise ConfigurationError(f"cannot keep the simulator's state in {path}: {said}") from None
    try:
        _prepare(database, path)
    except sqlite3.OperationalError as error:
        database.close()
        if "locked" in str(error):
            raise ConfigurationError(
                f"another simulator uses {path}: stop it, or give this one a file of its own"
            ) from None
        raise ConfigurationError(f"cannot keep the simulator's state in {path}: {error}") from None
    except sqlite3.DatabaseError:
        database.close()
        raise ConfigurationError(f"{path} is not a simulator's state, or is damaged: name another file") from None
    except ConfigurationError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Lock the file until it is closed, and create its table if there is none."""
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("BEGIN EXCLUSIVE")
    with database:
        tables: list[Any] = database.execute("SELECT name FROM sqlite_schema").fetchall()
        with closing(database.execute("PRAGMA application_id")) as found:
            application = found.fetchone()[0]
        with closing(database.execute("PRAGMA user_version")) as found:
            version = found.fetchone()[0]
        if tables and (application, version) != (_APPLICATION, _VERSION):
            raise ConfigurationError(f"{path} is another program's file, or another version's: name another file")
        database.execute(f"PRAGMA application_id = {_APPLICATION}")
        database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute(
            "CREATE TABLE IF NOT EXISTS kept (shelf TEXT, id TEXT, document TEXT NOT NULL, PRIMARY KEY (shelf, id))"
        )
    database.execute("PRAGMA journal_mode = WAL")  # a commit outlives the process without waiting for the disk
    database.execute("PRAGMA synchronous = NORMAL")
