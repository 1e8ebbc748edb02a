"""The settings of a deployment: from the environment, from files with secrets, and from `pyproject.toml`.

A setting `port` is `WEBHOOK_RECEIVER_PORT` in the environment, and `port = 8000` under `[tool.webhook-receiver]` in the
`pyproject.toml` of the current folder. The environment counts first, and an option of a command before both. A secret
is read from the file that `WEBHOOK_RECEIVER_SECRET_FILE` names, too, and never from `pyproject.toml`.

It needs the extra `standard`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from .errors import ConfigurationError, needs
from .redaction import without_password
from .signatures.secrets import Secret

try:
    from pydantic_settings import (
        BaseSettings,
        EnvSettingsSource,
        NoDecode,
        PydanticBaseSettingsSource,
        SettingsConfigDict,
    )
except ImportError as error:
    raise ImportError(needs("webhook_receiver.settings", error.name or "an extra", "standard")) from None

__all__ = ["Settings"]

PREFIX = "WEBHOOK_RECEIVER_"
TABLE = "tool.webhook-receiver"
PYPROJECT = "pyproject.toml"
OLDER: Mapping[str, str] = {"secret": "WEBHOOK_SECRET", "inbox": "WEBHOOK_INBOX"}
"""Variables that had these names first, and count where the one with the prefix is not set."""
SECRET = ("secret", "inbox", "ssl_keyfile_password")
"""The settings that hold a secret: each may be in a file that a variable ending in `_FILE` names."""


def _as_secret(given: object) -> Secret | None:
    if given is None or isinstance(given, Secret):
        return given
    try:
        return Secret(given.get_secret_value() if isinstance(given, SecretStr) else str(given))
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _as_list(given: object) -> object:
    return [each.strip() for each in given.split(",") if each.strip()] if isinstance(given, str) else given


def _no_bool(given: object) -> object:
    if isinstance(given, bool):  # as true in pyproject.toml, which pydantic takes for 1
        raise ValueError("Input should be a valid integer")
    return given


Port = Annotated[int, Field(ge=0, le=65535), BeforeValidator(_no_bool)]
Number = Annotated[int, Field(ge=1), BeforeValidator(_no_bool)]


class Settings(BaseSettings):
    """The settings. An app may read its own from here, too:

        settings = Settings()
        hooks = WebhookReceiver(secret=settings.secret, inbox=settings.inbox)

    Its repr and its JSON show no secret.

    Raises:
        ConfigurationError: a setting is not valid, is there twice, or is unknown in `pyproject.toml`; the message has
            no value.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    app: str | None = None
    """Your receiver, or the app that it is in, as module:hooks: that of all commands that take one."""
    secret: Annotated[Secret | None, PlainValidator(_as_secret), PlainSerializer(str, when_used="json-unless-none")] = (
        None
    )
    """The sender's secret. One in a file is read again when the file changes."""
    inbox: Annotated[str | None, PlainSerializer(without_password, when_used="json-unless-none")] = Field(
        default=None, repr=False
    )
    """The URL of the inbox; that of `inbox` commands, too."""
    host: str = "127.0.0.1"
    """The address that `serve` listens on."""
    port: Port = 8000
    """The port that `serve` listens on; 0 takes a free one."""
    path: str = "/webhooks"
    """The path that senders post to, with `serve`."""
    uds: str | None = None
    """The Unix socket that `serve` listens on instead."""
    fd: Annotated[int, Field(ge=0), BeforeValidator(_no_bool)] | None = None
    """The file descriptor of a socket that was passed to `serve` to listen on instead."""
    workers: Number = 1
    """The number of server processes of `serve`."""
    http: Literal["h11", "httptools"] = "h11"
    """The parser of HTTP of `serve`."""
    max_connections: Number | None = None
    """The largest number of connections of a process of `serve`; else 1000, or fewer by `ulimit -n`."""
    root_path: str = ""
    """The path prefix that a proxy before `serve` strips."""
    ssl_certfile: Path | None = None
    """The file of the certificate with which `serve` serves TLS."""
    ssl_keyfile: Path | None = None
    """The file of the certificate's key."""
    ssl_keyfile_password: SecretStr | None = None
    """The password of that key."""
    concurrency: Number | None = None
    """The number of deliveries that `worker` handles at once; else the receiver's."""
    health_host: str = "127.0.0.1"
    """The address at which `worker` answers for its health."""
    health_port: Port | None = None
    """The port at which `worker` answers for its health; else it does not."""
    inspector: str | None = None
    """The path at which `serve` mounts the inspector."""
    inspector_passwords: Path | None = None
    """The file of the inspector's users."""
    inspector_writable: bool = False
    """Whether the inspector of `serve` replays, purges, pauses and edits."""
    metrics_port: Port | None = None
    """The port at which `serve` and `worker` give metrics to Prometheus; else they do not."""
    metrics_host: str = "127.0.0.1"
    """The address of the metrics port."""
    log_format: Literal["text", "json"] = "text"
    """The format of the log lines of `serve` and `worker`."""
    ignore: Annotated[list[str], NoDecode, BeforeValidator(_as_list)] = Field(default_factory=list[str])
    """The checks that `check` leaves out, in the environment with commas between them."""

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigurationError("; ".join(map(_message, error.errors(include_input=False)))) from None

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the first that has a setting counts. See pydantic-settings."""
        return (
            init_settings,
            EnvSettingsSource(settings_cls),
            _Files(settings_cls),
            _Older(settings_cls),
            _Pyproject(settings_cls),
        )


class Origin(NamedTuple):
    """A setting as it is, and where it comes from."""

    name: str
    value: str
    """The value as text, a secret masked; empty if it is not set."""
    origin: str
    """A variable, a file or "default"."""
    about: str
    """What the setting is, in a sentence."""


def origins() -> list[Origin]:
    """Return all settings with their values and origins, in the order of the model.

    Raises:
        ConfigurationError: as from `Settings()`.
    """
    settings = Settings()
    by_setting = _origins()
    return [
        Origin(name, shown(name, getattr(settings, name)), by_setting.get(name, "default"), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _origins() -> dict[str, str]:
    """Return where each setting that is set comes from."""
    sources: Sequence[tuple[Callable[[], Mapping[str, Any]], Callable[[str], str]]] = (
        (EnvSettingsSource(Settings), _variable),
        (_Files(Settings), lambda name: f"{_file_variable(name)}={os.environ[_file_variable(name)]}"),
        (_Older(Settings), OLDER.__getitem__),
        (_Pyproject(Settings), lambda name: PYPROJECT),
    )
    found: dict[str, str] = {}
    for source, said in sources:
        for name in source():
            found.setdefault(name, said(name))
    return found


def _variable(name: str) -> str:
    """Return the variable that has a setting, which counts in small letters, too."""
    variable = f"{PREFIX}{name.upper()}"
    if variable in os.environ:
        return variable
    return next((each for each in os.environ if each.upper() == variable), variable)


def alone(name: str) -> Any:
    """Return a setting whatever is wrong with the others, as `check` needs it; None if it is not set, or not valid."""
    try:
        given = EnvSettingsSource(Settings)().get(name) or _without_hyphens(_table()).get(name)
        field = Settings.model_fields[name]
        kind: Any = Annotated[field.annotation, field]
        return None if given is None else TypeAdapter[Any](kind).validate_python(given)
    except (ConfigurationError, ValidationError):
        return None


def unknown_variables() -> list[tuple[str, str]]:
    """Return the variables with our prefix that are no setting, each with the one that is like it, or "".

    What a subclass that is there adds is a setting, too.
    """
    known = [name.removeprefix(PREFIX) for name in _variables()]
    found = sorted(name.removeprefix(PREFIX) for name in os.environ if name.startswith(PREFIX))
    near = {name: get_close_matches(name, known, n=1) for name in found if name not in known}
    return [(f"{PREFIX}{name}", f"{PREFIX}{each[0]}" if each else "") for name, each in near.items()]


def shown(name: str, value: object) -> str:
    """Return a setting's value as text, a secret masked."""
    if value is None:
        return ""
    if name == "inbox":
        return without_password(str(value))
    if isinstance(value, list):
        return ",".join(map(str, cast("list[object]", value)))
    return str(value)  # of a secret, that is asterisks


def _variables(of: type[Settings] = Settings) -> Iterable[str]:
    for name in of.model_fields:
        yield f"{PREFIX}{name.upper()}"
        if name in SECRET:
            yield _file_variable(name)
    for each in of.__subclasses__():
        yield from _variables(each)


def _file_variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}_FILE"


class _Files(PydanticBaseSettingsSource):
    """The settings in files that the environment names: `WEBHOOK_RECEIVER_SECRET_FILE=/run/secrets/webhook`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of a setting, its name, and that it is no JSON. See pydantic-settings.

        Raises:
            ConfigurationError: the file cannot be read or is blank, or the setting is a variable, too.
        """
        variable = _file_variable(field_name)
        file = os.environ.get(variable) if field_name in SECRET else None
        if not file:
            return None, field_name, False
        if os.environ.get(f"{PREFIX}{field_name.upper()}"):
            raise ConfigurationError(f"{PREFIX}{field_name.upper()} and {variable} are both set: give one of them")
        try:
            secret = Secret.from_file(file)
        except ConfigurationError as error:
            raise ConfigurationError(f"{variable}: {error}") from None
        return secret if field_name == "secret" else secret.get_secret_value(), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the settings that are in files."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class _Older(PydanticBaseSettingsSource):
    """The settings in variables by older names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of a setting, its name, and that it is no JSON. See pydantic-settings."""
        return os.environ.get(OLDER.get(field_name, "")) or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the settings in these variables."""
        return {name: value for name, variable in OLDER.items() if (value := os.environ.get(variable))}


class _Pyproject(PydanticBaseSettingsSource):
    """The settings under `[tool.webhook-receiver]`, whose names may have hyphens."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of a setting, its name, and that it is no JSON. See pydantic-settings."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the settings in the table.

        Raises:
            ConfigurationError: the file cannot be read, or a setting in it is unknown, or has a secret.
        """
        given = _table()
        found = _without_hyphens(given)
        if twice := [name for name in found if name in given and name.replace("_", "-") in given and "_" in name]:
            raise ConfigurationError(
                f"{PYPROJECT}: {twice[0]} is there twice, with a hyphen and without: leave one of them out"
            )
        known = [name for name in self.settings_cls.model_fields if name not in SECRET or name == "inbox"]
        for name, value in found.items():
            if name in SECRET and (name != "inbox" or without_password(str(value)) != value):
                raise ConfigurationError(
                    f"{PYPROJECT}: {name} has a secret, which does not belong into a file that others read: set "
                    f"{PREFIX}{name.upper()}, or {_file_variable(name)} to a file with it"
                )
            if name not in known:
                near = get_close_matches(name, known, n=1)
                meant = f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
                raise ConfigurationError(f"{PYPROJECT}: [{TABLE}] has {name!r}, which is no setting: {meant}")
        return found


def _without_hyphens(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in table.items()}


def _table() -> dict[str, Any]:
    """Return our table in the `pyproject.toml` of the current folder; an empty one without it.

    Raises:
        ConfigurationError: the file cannot be read, or has something else in place of the table.
    """
    try:
        found: object = tomllib.loads(Path(PYPROJECT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{PYPROJECT} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{PYPROJECT} is no TOML: {error}") from None
    tools: object = found.get("tool") if isinstance(found, dict) else None
    if isinstance(tools, dict) and "webhook_receiver" in tools:
        raise ConfigurationError(f"{PYPROJECT}: [tool.webhook_receiver] is written with a hyphen: [{TABLE}]")
    for key in TABLE.split("."):
        found = cast("dict[str, object]", found).get(key, {})
        if not isinstance(found, dict):
            raise ConfigurationError(f"{PYPROJECT}: {TABLE} is a table, written as [{TABLE}]")
    return cast("dict[str, Any]", found)


def _message(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    origin = _origins().get(name)
    where = f"the setting {name}" if origin is None else f"{PYPROJECT}: {name}" if origin == PYPROJECT else origin
    return f"{where}: {str(error['msg']).removeprefix('Value error, ')}"
