"""The catalogue: a typed function for each sender, loaded when it is used, and a page for each."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import time
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from tests.helpers import ROOT
from tests.senders import pages
from webhook_receiver import Secret, Sender, WebhookReceiver
from webhook_receiver.cli.notification import Notifier
from webhook_receiver.senders import catalogue, imagery
from webhook_receiver.senders.imagery import polled
from webhook_receiver.senders.page import Page
from webhook_receiver.senders.preset import LATE, Preset
from webhook_receiver.senders.profile import URL, profile_of
from webhook_receiver.senders.registry import presets
from webhook_receiver.signatures.learnt_secret import LearntSecret

PRESETS = [*presets().values()]
every = pytest.mark.parametrize("known", PRESETS, ids=lambda known: known.name)


def page_of(known: Preset) -> Page:
    assert known.page is not None
    return known.page


@every
def test_a_sender_is_imported_from_the_catalogue_as_a_function_of_secrets(known: Preset) -> None:
    function = getattr(catalogue, known.function)
    assert function is known.sender
    assert getattr(import_module(known.module), known.function) is function
    assert next(iter(inspect.signature(function).parameters)) == "secret"
    assert inspect.getdoc(function)
    sender = function([known.example])
    assert isinstance(sender, Sender)
    assert sender.name == known.name


def test_the_catalogue_names_every_sender_of_its_modules_and_no_other() -> None:
    assert sorted(known.function for known in PRESETS) == sorted(catalogue.__all__)
    assert set(catalogue.__all__) <= set(dir(catalogue))
    with pytest.raises(AttributeError, match="has no attribute 'nobody'"):
        _ = catalogue.nobody  # type: ignore[attr-defined]


def test_type_checkers_know_the_same_names() -> None:
    stub = ast.parse(Path(str(catalogue.__file__)).with_suffix(".pyi").read_text(encoding="utf-8"))
    imported = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    functions = {node.name: ast.unparse(node) for node in stub.body if isinstance(node, ast.FunctionDef)}
    assert {*imported, *functions} - {"Secrets", "Sender"} == {*catalogue.__all__}
    rows = {name for name in functions if inspect.getmodule(getattr(catalogue, name)) is catalogue}
    assert rows == set(functions)
    assert all(text == f"def {name}(secret: Secrets) -> Sender:\n    ..." for name, text in functions.items())


def test_importing_the_package_or_one_sender_loads_no_other() -> None:
    code = """
import sys
import webhook_receiver
from webhook_receiver import Sender
assert not [name for name in sys.modules if name.startswith("webhook_receiver.senders.catalogue")]
from webhook_receiver.senders.catalogue import razorpay
print(sorted(name for name in sys.modules if name.startswith("webhook_receiver.senders.catalogue.")))
assert "webhook_receiver.senders.github" not in sys.modules
"""
    done = run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == str(
        [f"webhook_receiver.senders.catalogue.{name}" for name in ("examples", "payments", "row")]
    )


@every
def test_a_page_is_plain_sentences_that_name_their_sources(known: Preset) -> None:
    page = page_of(known)
    for text in filter(None, (page.setup, page.answer, *page.traps)):
        assert text == text.strip()
        assert text.endswith(".")
        assert text.isprintable()
        assert text.isascii()
    assert page.setup
    assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+(/\S*)?", page.docs)
    assert all(text == text.strip() for text in known.sender(known.example).facts)


@every
def test_a_page_says_by_which_code_of_others_it_was_verified_or_that_it_was_not(known: Preset) -> None:
    verified = page_of(known).verified
    if verified != "by documentation":
        package, date = verified
        assert re.search(r"\w+ [0-9]+\.[0-9]", package)
        assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", date)


def test_the_pages_of_the_guide_are_those_of_the_profiles() -> None:
    written = pages.pages()
    assert {file: file.read_text(encoding="utf-8") for file in pages.FOLDER.glob("*")} == written, (
        "run `.venv/bin/python -m tests.senders.pages`"
    )
    assert pages.IMAGES.read_text(encoding="utf-8") == pages.images(), "run `.venv/bin/python -m tests.senders.pages`"


def test_the_page_of_images_names_every_source_and_only_those_that_there_are() -> None:
    folder = Path(str(imagery.__file__)).parent
    modules = [import_module(f"{imagery.__name__}.{each.stem}") for each in folder.glob("*_source.py")]
    found = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in modules
        for name in vars(module)
        if name.endswith("_source") and not name.startswith("_")
    }
    assert {*pages.SOURCES.values(), *(source for _, source in pages.POLLED.values())} == found
    for function, _ in pages.POLLED.values():
        assert isinstance(getattr(polled, function)(), Sender)


def test_the_guide_says_no_larger_number_of_senders_than_there_are() -> None:
    said = f"ore than {(len(PRESETS) - 1) // 10 * 10}"
    assert f"has m{said} of them" in ROOT.joinpath("docs/senders.md").read_text(encoding="utf-8")
    assert f"[M{said}](" in ROOT.joinpath("README.md").read_text(encoding="utf-8")


@every
def test_a_sender_that_takes_200_for_an_answer_gets_200(known: Preset) -> None:
    sender = known.sender(known.example)
    if re.match(r"(A )?200(?!, 201, 202)\b", page_of(known).answer):
        assert (sender.responses.stored, sender.responses.duplicate) == (200, 200)


SIGNED_BY_THEM_ALONE = {"google-pubsub"}  # whose keys are fetched from Google


@every
async def test_the_code_of_a_page_runs_and_takes_a_delivery_and_answers_the_challenges(
    known: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBHOOK_SECRET", known.example)
    monkeypatch.setenv("VERIFY_TOKEN", "a-token-for-tests")
    profile, made = profile_of(known), dict[str, Any]()
    exec("\n".join(profile.code), made)
    hooks: WebhookReceiver = made["hooks"]
    notifier = Notifier.of_receiver(hooks) if known.tells is None else Notifier.of_preset(known.name, Secret("theirs"))
    event = (notifier.events or ["thing.made"])[0] if known.played is None else "Notification"
    async with hooks:
        with LearntSecret(tmp_path / f"{known.name}.secret").open(60) if known.tells else nullcontext():
            for asked in notifier.sender.challenges:
                head, body = notifier.challenge(asked, url=URL, token=notifier.told()[:32], now=time.time())
                receipt = await hooks.receive(head.headers, body, method=head.method, target=head.target)
                assert 200 <= receipt.response.status <= 299, receipt.error
                assert receipt.delivery is None
        if known.name not in SIGNED_BY_THEM_ALONE:
            body = notifier.body(notifier.document(event, None, None))
            head = notifier.head(body, event, url=URL, now=time.time())
            receipt = await hooks.receive(head.headers, body, method=head.method, target=head.target)
            assert receipt.response.status == hooks.sender.responses.stored, receipt.error
    assert len(hooks.sender.challenges) == len(profile.sender.challenges)


@every
def test_a_trap_says_nothing_else_of_copies_than_the_page_does(known: Preset) -> None:
    profile = profile_of(known)
    told = " ".join(dict(profile.sections())["events"])
    for trap in page_of(known).traps:
        if re.search(r"\bcopy\b.* by its id\b", trap):
            assert "is known by its id" in told or "in the body" in told
        if re.search(r"told by its (equal )?body", trap):
            assert "is known by an equal body" in told
        assert not re.search("tells a repeat is", trap), "the page says what tells one"


@every
def test_a_trap_says_it_where_nothing_tells_a_copy_for_half_a_day(known: Preset) -> None:
    profile = profile_of(known)
    told = " ".join(dict(profile.sections())["events"])
    is_told = "Nothing tells" not in told and "and no other one" not in told
    is_late = (profile.proof.tolerance or 0) >= LATE
    says_so = any("half a day after its signing" in trap for trap in page_of(known).traps)
    assert says_so is (is_late and not is_told)


@pytest.mark.parametrize(
    ("name", "said", "never"),
    [
        ("twilio", "The form in the body is covered, but not the border", "The body is not covered"),
        ("twilio", "proves itself by an HMAC by a secret that you share.", "one of several"),
        ("adyen", "Some values in the body are covered", "The form in the body"),
        ("cloudevents", "by a secret in a header, or by a secret in the URL's query.", "signature"),
        ("livekit", "A token says until when it is valid (exp)", "No time is covered"),
        ("vonage", "Where a token says until when it is valid (exp)", "No time is covered"),
        ("github", "No time is covered", "exp"),
    ],
)
def test_a_profile_says_what_is_proven_and_no_more(name: str, said: str, never: str) -> None:
    proof = " ".join(dict(profile_of(presets()[name]).sections())["proof"])
    assert said in proof
    assert never not in proof
