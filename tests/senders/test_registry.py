"""The registry of senders: one that is added once is known everywhere, also one that another package brings."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from textwrap import dedent

import pytest
from typer.testing import CliRunner

from tests.helpers import NOW, order
from tests.test_layers import NEUTRAL
from webhook_receiver import (
    ConfigurationError,
    Event,
    HMACBody,
    Inbox,
    ResponseStatuses,
    Sender,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver import senders as registry
from webhook_receiver.cli.commands import app
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import explain
from webhook_receiver.inbox import from_url
from webhook_receiver.senders.catalogue import MODULES
from webhook_receiver.senders.registry import preset_of, presets, recognize

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Install]:
    """Install a package `acme` with this source and these entry points, as pip leaves it behind."""

    def put(source: str, entry_points: str) -> None:
        tmp_path.joinpath("acme.py").write_text(dedent(source), encoding="utf-8")
        info = tmp_path / "acme-1.0.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n", encoding="utf-8")
        info.joinpath("entry_points.txt").write_text(dedent(entry_points), encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(__import__("sys").modules, "acme", raising=False)
        presets.cache_clear()

    yield put
    presets.cache_clear()


SENDER = """
    from webhook_receiver import HMACBody, Sender
    from webhook_receiver.senders.preset import Preset

    def signature(secrets):
        return HMACBody(secrets, signature="x-acme-signature")

    def acme(secret):
        return Sender(name="acme", scheme=signature(secret), facts=("Acme's handbook",))

    PRESET = Preset("acme", "Acme", acme, signature, ("x-acme-signature",))
    """
ENTRY = """
    [webhook_receiver.senders]
    acme = acme:PRESET
    """


def test_every_module_of_a_sender_is_in_the_registry() -> None:
    folder = Path(str(registry.__file__)).parent
    modules = {f"..{name}" for name in modules_in(folder) - NEUTRAL - {"catalogue", "imagery"}}
    of_all = {"__init__", "events", "schemes", "statuses", "access", "api", "api_source", "listings", "polled"}
    of_all |= {"entries", "memory", "times"}
    names = modules_in(folder / "imagery") - of_all
    modules |= {f"..imagery.{name}" for name in names if not name.endswith("_source")}
    modules |= {f".{name}" for name in modules_in(folder / "catalogue") - {"__init__", "examples", "row"}}
    assert modules == set(MODULES)


def modules_in(folder: Path) -> set[str]:
    return {each.stem for each in folder.iterdir() if each.suffix in ("", ".py")} - {"__pycache__"}


@pytest.mark.parametrize("name", [*presets()])
def test_a_preset_makes_a_sender_of_its_name_that_says_where_its_rules_come_from(name: str) -> None:
    preset = presets()[name]
    sender = preset.sender(preset.example)
    assert (sender.name, preset.name) == (name, name)
    assert sender.facts
    assert type(sender.scheme) is type(preset.make(preset.example))
    assert preset_of(preset.make) is preset
    assert WebhookReceiver(sender=sender, public_url="https://example.com/in").sender is sender
    assert preset.example not in repr(sender)


@pytest.mark.parametrize("command", ["explain request.http", "to-test request.http", "send http://127.0.0.1:9/"])
def test_commands_know_every_sender(command: str) -> None:
    other = CliRunner().invoke(app, [*command.split(), "--sender", "nobody"])
    assert other.exit_code == 2
    assert "there is no sender 'nobody': `webhook-receiver senders` lists all" in " ".join(other.output.split())


def test_a_sender_of_another_package_is_known_like_our_own(install: Install) -> None:
    install(SENDER, ENTRY)
    preset = presets()["acme"]
    assert next(iter(presets())) == "up42"
    assert [*presets()][-1] == "acme"
    head = preset.sender("secret").scheme.sign(RequestHead.of({}), order(), NOW)
    assert recognize(head.headers) is preset
    assert explain(head.headers, order(), "secret", make=preset.make, now=NOW).ok
    (cause,) = explain(head.headers, order(), "secret", now=NOW).causes
    assert cause.name == "wrong-scheme"
    assert "as Acme does it" in cause.what
    assert "sender=acme(...)" in cause.advice
    wrong = explain(head.headers, order(), "wrong", now=NOW)
    assert (wrong.causes, "its headers are those of Acme" in wrong.hints) == ((), True)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("PRESET = 5", "it names no Preset, but <class 'int'>"),
        (SENDER.replace('Preset("acme"', 'Preset("github"'), "there is a sender github"),
        ("import nowhere_at_all", "it raised ModuleNotFoundError"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_left_out_and_takes_nothing_with_it(
    install: Install, caplog: pytest.LogCaptureFixture, source: str, complaint: str
) -> None:
    own = dict(presets())
    install(source, ENTRY)
    assert presets() == own
    (record,) = caplog.records
    assert record.getMessage() == f"the entry point acme of webhook_receiver.senders is left out: {complaint}"


def test_an_inbox_of_another_package_is_found_by_the_scheme_of_its_url(install: Install) -> None:
    source = """
        from webhook_receiver import MemoryInbox

        def from_url(url):
            if url.endswith("broken"):
                return 1 / 0
            return None if url.endswith("nothing") else MemoryInbox(window=7)
        """
    install(source, "[webhook_receiver.inboxes]\nacme = acme:from_url\n")
    assert isinstance(from_url("acme://host/queue"), Inbox)
    assert WebhookReceiver(secret="s", inbox="acme://host/queue").inbox
    with pytest.raises(ConfigurationError, match=r"the entry point acme of webhook_receiver\.inboxes makes no inbox"):
        from_url("acme://host/nothing")
    with pytest.raises(ConfigurationError, match="made no inbox: it raised ZeroDivisionError"):
        from_url("acme://host/broken")
    with pytest.raises(ConfigurationError, match="'redis' is no kind of inbox"):
        from_url("redis://host")


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"name": "two words"}, "lower-case letters"),
        ({"name": "ACME"}, "lower-case letters"),
        ({"name": 5}, "lower-case letters"),
        ({"scheme": Unsigned}, "takes a scheme"),
        ({"scheme": "secret"}, "takes a scheme"),
        ({"facts": ()}, "has no facts"),
        ({"facts": "a text"}, "facts of the sender acme are a tuple"),
        ({"facts": ["a list"]}, "facts of the sender acme are a tuple"),
        ({"events": Event}, "events of the sender acme are a tuple"),
        ({"events": None}, "events of the sender acme are a tuple"),
        ({"events": (int,)}, "events of the sender acme are event classes"),
        ({"statuses": "x"}, "statuses of the sender acme are a mapping"),
        ({"statuses": {"Done": "NOPE"}}, "statuses of the sender acme are a mapping"),
        ({"orders": 3}, "orders of the sender acme cannot be of the type int"),
        ({"responses": None}, "responses of the sender acme cannot be of the type NoneType"),
        ({"responses": {"rejected": 403}}, "responses of the sender acme cannot be of the type dict"),
        ({"event_header": "x event"}, "event_header is the name of a header"),
        ({"delivery_id": "Authorization"}, "the inbox stores no header of that name"),
        ({"order_id_paths": "body.id"}, "order_id_paths of the sender acme are a tuple"),
        ({"order_id_paths": ("body..id",)}, "order_id_paths is a list"),
        ({"order_id_paths": (5,)}, "order_id_paths of the sender acme are a tuple"),
        ({"ordering_key": "id"}, "ordering_key of the sender acme is a function"),
        ({"identity": 3}, "identity of the sender acme is a function"),
        ({"responses": ResponseStatuses(stored=302)}, "stored is a status from 200 to 299, not 302"),
        ({"responses": ResponseStatuses(duplicate=409)}, "duplicate is a status from 200 to 299, not 409"),
        ({"responses": ResponseStatuses(rejected=200)}, "rejected is a status from 400 to 499, not 200"),
        ({"responses": ResponseStatuses(rejected="403")}, "rejected is a status from 400 to 499, not '403'"),  # type: ignore
    ],
)
def test_a_sender_that_cannot_work_is_rejected_when_it_is_made(parts: dict[str, object], complaint: str) -> None:
    good: dict[str, object] = {
        "name": "acme",
        "scheme": HMACBody("hush", signature="x-acme-signature"),
        "facts": ("Acme's handbook",),
    }
    assert repr(Sender(**good)) == "<Sender acme: HMACBody>"  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=complaint):
        Sender(**good | parts)  # type: ignore[arg-type]
