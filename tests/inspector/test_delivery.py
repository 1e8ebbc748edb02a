"""The page of one delivery, and what can be made of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import NOW, SECRET
from tests.inspector.stage import DOWNLOAD, TRACEBACK, Browser, body, dead, looked_at, receivers, stored
from webhook_receiver import FailedAttempt, HandlerState, MemoryInbox, Sender, SQLiteInbox, State, WebhookReceiver
from webhook_receiver.capture.curl import from_curl
from webhook_receiver.delivery import RequestHead
from webhook_receiver.inspector import Inspector
from webhook_receiver.senders.github import github
from webhook_receiver.senders.imagery.iceye import iceye
from webhook_receiver.senders.imagery.ogc import ogc_processes
from webhook_receiver.senders.up42 import up42 as up42_sender
from webhook_receiver.signatures.allow_from import AllowFrom
from webhook_receiver.signatures.shared_secret import BasicAuth, BodySecret, HeaderSecret, QuerySecret
from webhook_receiver.signatures.unsigned import Unsigned

DEAD = "00000003" + "0" * 24
DONE = "00000000" + "0" * 24
TOKEN = "a-secret-path-for-tests"


async def test_a_dead_letter_says_why_with_every_attempt(browser: Browser) -> None:
    page = await browser.get(f"/deliveries/{DEAD}")
    for said in (
        "order.status dead",
        "app:download: ValueError: no such tile",
        "Received 2025-12-11 06:03:35 ( 1 min ago ) Settled 2025-12-11 06:04:06 (after 31 s)",
        "Order o-3",
        "Verified by UP42Signature By secret 0 (the first) at its receipt; the signature covers the body.",
        "so this is what was found at the receipt",
        "Failed attempts 3",
        "3 dead download 2025-12-11 06:04:05 500 ms ValueError: no such tile with the traceback of attempt 1",
        "1 download 2025-12-11 06:03:45 500 ms ValueError: no such tile Traceback",
        'File "/app/handlers.py", line 7, in download',
        "user-agent up42/1",
    ):
        assert said in page.text, page.text
    assert page.html.count("Traceback (most recent call last)") == 1


async def test_the_beginning_of_an_id_is_enough(browser: Browser) -> None:
    assert (await browser.get("/deliveries/00000003")).status == 200
    page = await browser.get("/deliveries/000000")
    assert (page.status, "Several deliveries begin so" in page.text) == (404, True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"verified_by": 1, "body_verified": False},
            "By secret 1 at its receipt; the signature does not cover the body",
        ),
        ({"verified_by": None}, "Unsigned It came without a signature"),
        ({"verified_by": None, "via": "poll"}, "No push It came by itself, without a signature; its body is known"),
        (
            {"verified_by": None, "via": "poll", "body_verified": False},
            "without a signature; its body is not verified",
        ),
        ({"verified_by": None, "via": "edit"}, "Verified by none Somebody edited the body here"),
    ],
)
async def test_what_verified_it_is_said_in_words(
    browser: Browser, inbox: SQLiteInbox, more: dict[str, object], said: str
) -> None:
    await inbox.load([stored(50, **more)], inbox.clock())  # type: ignore[arg-type]
    assert said in (await browser.get("/deliveries/00000032")).text


async def test_the_other_deliveries_of_the_order_and_of_the_request_are_beside_it(
    browser: Browser, inbox: SQLiteInbox
) -> None:
    first = stored(60, order="o-60")
    later = [stored(number, order="o-60") for number in (61, 62)]
    id = f"{first.summary.id}.1"
    part = first._replace(
        summary=first.summary._replace(id=id, part=1, event="job.status"), delivery=first.delivery.as_part(1), key=b"p"
    )
    await inbox.load([first, part._replace(ordering_key=None), *later], inbox.clock())
    page = await browser.get(f"/deliveries/{first.summary.id}")
    assert "Other events of the same request" in page.text
    assert f"/deliveries/{id}" in page.links
    assert {f"/deliveries/{each.summary.id}" for each in later} <= {*page.links}
    assert page.links.count(f"/deliveries/{first.summary.id}") == 0, "itself"
    assert (await browser.get(f"/deliveries/{id}")).status == 200


async def test_the_forms_of_a_body_are_a_link_away(browser: Browser) -> None:
    page = await browser.get(f"/deliveries/{DEAD}")
    assert re.findall(r"form=(\w+)#h-body", page.html) == ["pretty", "tree", "raw", "hex"]
    assert "o-3" in (await browser.get(f"/deliveries/{DEAD}?form=tree")).text
    assert body("o-3")[:8].hex(" ") in (await browser.get(f"/deliveries/{DEAD}?form=hex")).text
    raw = await browser.get(f"/deliveries/{DEAD}?form=raw")
    assert body("o-3").decode() in raw.text


async def test_the_body_can_be_downloaded_as_it_came(browser: Browser, inbox: SQLiteInbox) -> None:
    content = b"\xff\x00<script>" + bytes(range(256))
    await inbox.load([stored(70, content=content)], inbox.clock())
    found = (await browser.get("/deliveries/00000046/body")).response
    assert found.content == content
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["content-disposition"] == f'attachment; filename="00000046{"0" * 24}.body"'


async def test_a_removed_body_is_not_looked_for(browser: Browser, inbox: SQLiteInbox) -> None:
    memory = MemoryInbox(keep_body=1)
    await memory.open()
    await memory.load([stored(71)], memory.clock())
    await memory.expire(NOW + 10_000)
    alone = Browser(looked_at(Inspector.on_loopback(receivers(memory), writable=True)))
    page = await alone.get("/deliveries/00000047")
    assert "removed some time after it was done" in page.text
    assert "Replay" not in page.text
    for path in ("body", "curl", "test", "edit"):
        found = await alone.get(f"/deliveries/00000047/{path}")
        assert (found.status, "The body was removed" in found.text) == (410, True)
    await alone.client.aclose()
    await memory.close()


async def test_headers_that_look_like_a_secret_are_masked(browser: Browser, inbox: SQLiteInbox) -> None:
    headers = (
        (b"authorization", b"Bearer s3cret-token"),
        (b"x-api-key", b"s3cret-key"),
        (b"cookie", b"session=s3cret"),
        (b"x-hub-signature-256", b"sha256=s3cret"),
        (b"x-custom", b"Basic s3cret"),
        (b"x-request-id", b"seen"),
    )
    await inbox.load([stored(72, headers=headers)], inbox.clock())
    for path in ("/deliveries/00000048", "/deliveries/00000048/curl"):
        page = await browser.get(path)
        assert "s3cret" not in page.html
        assert "x-request-id" in page.text
    assert "x-api-key •••••••• hidden: it may hold a credential" in (await browser.get("/deliveries/00000048")).text


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/json", b'{"event": "a", "token": "s3cret", "n": 1}'),
        ("application/json", b'{"auth": {"client_secret" : "s3cret"}, "n": 1}'),
        ("application/json", b'[{"accessToken":"s3cret"},{"apiKey":"s3cret \\" s3cret"}]'),
        ("application/json", b'{"verification_token": "s3cret"}'),
        ("application/json", b'{"password": "s3cret", "api_key": "s3cret"}'),
        ("application/x-www-form-urlencoded", b"a=1&token=s3cret&payload=%7B%7D"),
        ("application/x-www-form-urlencoded; charset=utf-8", b"access_token=s3cret"),
    ],
)
async def test_members_of_a_body_that_look_like_a_secret_are_masked(
    browser: Browser, inbox: SQLiteInbox, kind: str, content: bytes
) -> None:
    await inbox.load([stored(73, content=content, headers=((b"content-type", kind.encode()),))], inbox.clock())
    for form in ("pretty", "tree", "fields", "raw", "hex"):
        page = await browser.get(f"/deliveries/00000049?form={form}")
        assert "s3cret" not in page.html
        assert b"s3cret".hex(" ") not in page.html
        assert "A value that may be a credential is masked" in page.text
    assert "s3cret" not in (await browser.get("/deliveries/00000049/edit")).html
    for path, status in {"body": 403, "curl": 409, "test": 409}.items():
        page = await browser.get(f"/deliveries/00000049/{path}")
        assert (page.status, "s3cret" in page.html) == (status, False)


async def test_what_only_sounds_alike_is_shown(browser: Browser, inbox: SQLiteInbox) -> None:
    content = b'{"tokens": 12, "secretary": "Ann", "key": "o-1", "passed": "yes", "broken": "tokenizer"}'
    await inbox.load([stored(74, content=content)], inbox.clock())
    page = await browser.get("/deliveries/0000004a?form=raw")
    assert content.decode() in page.text


async def test_the_secret_of_a_scheme_that_has_it_in_the_body_is_masked_by_its_place(inbox: SQLiteInbox) -> None:
    scheme = AllowFrom(["127.0.0.1/32"], BodySecret("s3cret", member="auth.code"))
    hooks = WebhookReceiver(scheme=scheme, inbox=inbox, name="up42")
    await inbox.load([stored(75, content=b'{"event": "a", "auth": {"code": "s3cret"}, "code": "seen"}')], inbox.clock())
    browser = Browser(Inspector.on_loopback(hooks))
    page = await browser.get("/deliveries/0000004b?form=raw")
    assert "s3cret" not in page.html
    assert '"code": "seen"' in page.text
    await browser.client.aclose()


def the_command(page_html: str) -> str:
    import html

    found = re.search(r'<pre class="code" id="source"[^>]*>(.*?)</pre>', page_html, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


async def test_the_curl_command_is_unsigned_until_it_is_asked_for(browser: Browser, inbox: SQLiteInbox) -> None:
    page = await browser.get(f"/deliveries/{DEAD}/curl")
    assert "It is not signed, so the receiver rejects it." in page.text
    request = from_curl(the_command(page.html))
    assert (request.body, request.url) == (body("o-3"), "http://127.0.0.1:8000/webhooks")
    signed = await browser.post(f"/deliveries/{DEAD}/curl", page.form | {"url": "https://hooks.example/in"})
    request = from_curl(the_command(signed.html))
    assert (request.body, request.url) == (body("o-3"), "https://hooks.example/in")
    assert SECRET not in signed.html
    receiver = WebhookReceiver(sender=up42_sender(SECRET), clock=lambda: NOW + 100)
    receipt = await receiver.receive(request.headers, request.body)
    assert receipt.response.status == 204, receipt.error
    (record,) = await inbox.audited(limit=9)
    assert (record.action, record.parameters) == ("sign", {"delivery": DEAD, "url": "https://hooks.example/in"})


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "https://x\ny", "x" * 3000])
async def test_no_command_is_for_an_address_that_is_none(browser: Browser, url: str) -> None:
    page = await browser.get(f"/deliveries/{DEAD}/curl")
    assert (await browser.post(f"/deliveries/{DEAD}/curl", page.form | {"url": url})).status == 400


@pytest.mark.parametrize(
    "scheme",
    [
        HeaderSecret("s3cret-value", header="x-token"),
        HeaderSecret("s3cret-value", header="authorization", prefix="Bearer "),
        BasicAuth("s3cret-value", username="hooks"),
        QuerySecret("s3cret-value", parameter="key"),
        Unsigned(token_in_path="s3cret-value-in-the-path"),
    ],
    ids=["header", "bearer", "basic", "query", "path"],
)
async def test_a_secret_that_is_the_proof_itself_is_left_out_of_the_command(inbox: SQLiteInbox, scheme: object) -> None:
    hooks = WebhookReceiver(scheme=scheme, inbox=inbox, name="up42")  # type: ignore[arg-type]
    browser = Browser(looked_at(Inspector.on_loopback(hooks, writable=True)))
    page = await browser.get(f"/deliveries/{DEAD}/curl")
    signed = await browser.post(f"/deliveries/{DEAD}/curl", page.form | {"url": "https://hooks.example/in?a=1"})
    assert signed.status == 200, signed.text
    assert "s3cret" not in signed.html
    head = scheme.sign(RequestHead.of({}), b"", NOW)  # type: ignore[attr-defined]
    assert not any(value.decode() in signed.html for _, value in head.headers)
    assert "SECRET" in the_command(signed.html)
    assert "a=1" in the_command(signed.html)
    await browser.client.aclose()


async def test_a_hostile_body_is_one_word_of_the_command(browser: Browser, inbox: SQLiteInbox, tmp_path: Path) -> None:
    content = (
        "'; touch pwned; echo '\\'$(touch pwned)`touch pwned`\x1b]0;x\x07\r\n\t\u202e\u00e9 $'".encode() + b"\xff!"
    )
    headers = ((b"x-note", b"'$(touch pwned)\x1b[2J"), (b"content-type", b"text/plain"))
    await inbox.load([stored(76, content=content, headers=headers)], inbox.clock())
    command = the_command((await browser.get("/deliveries/0000004c/curl")).html)
    assert command.isascii()
    assert "\x1b" not in command
    assert from_curl(command).body == content
    folder = tmp_path / "folder"
    folder.mkdir()
    show = f"curl() {{ printf '%s' \"${{@: -1}}\"; }}\n{command}"
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", show], cwd=folder, capture_output=True, check=True, timeout=20
    )
    assert done.stdout == content
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("content", [body(pad="x" * 40_000), b"no word of a shell has a \0"], ids=["long", "NUL"])
async def test_a_long_body_is_in_a_file_beside_the_command(
    browser: Browser, inbox: SQLiteInbox, content: bytes
) -> None:
    await inbox.load([stored(77, content=content)], inbox.clock())
    command = the_command((await browser.get("/deliveries/0000004d/curl")).html)
    assert shlex.split(command)[-1] == f"@0000004d{'0' * 24}.body"


async def test_a_header_without_a_value_is_one_of_the_command(browser: Browser, inbox: SQLiteInbox) -> None:
    """Of `-H 'x-empty: '` curl makes none."""
    headers = ((b"x-empty", b""), (b"content-type", b"text/plain"))
    await inbox.load([stored(83, headers=headers)], inbox.clock())
    command = the_command((await browser.get("/deliveries/00000053/curl")).html)
    assert {*headers} <= {*from_curl(command).headers}


@pytest.mark.parametrize(
    ("sender", "target"),
    [
        (iceye(TOKEN), "/webhooks?status=completed&order=o%2F7"),
        (ogc_processes(TOKEN), "/webhooks/JOB%2F1/failed"),
    ],
    ids=["query", "path"],
)
@pytest.mark.parametrize("public", ["/webhooks", "/webhooks/", f"/webhooks/{TOKEN}"])
async def test_what_the_url_tells_is_in_the_command(
    inbox: SQLiteInbox, sender: Sender, target: str, public: str
) -> None:
    """Without it the copy would be another event, or of another order."""
    hooks = WebhookReceiver(sender=sender, inbox=inbox, public_url=f"https://hooks.example{public}", work=False)
    browser = Browser(looked_at(Inspector.on_loopback(hooks, writable=True)))
    async with browser.client, hooks:
        head = sender.scheme.sign(RequestHead.of({"content-type": "application/json"}, target=target), b"{}", NOW)
        receipt = await hooks.receive(head.headers, b"{}", target=head.target)
        assert receipt.delivery is not None
        path = f"/deliveries/{receipt.delivery.id}/curl"
        page = await browser.get(path)
        signed = await browser.post(path, page.form)
        for each in (page, signed):
            command = the_command(each.html)
            assert TOKEN not in command
            assert from_curl(command).body == b"{}"
        url = from_curl(the_command(signed.html)).target
        again = await hooks.receive(head.headers, b"{}", target=url.replace("SECRET", TOKEN).partition("example")[2])
        assert again.response.status == 200, "the same event of the same order is a duplicate"
        assert url == f"https://hooks.example{head.target.decode().replace(TOKEN, 'SECRET')}"


async def test_a_delivery_is_saved_as_a_test_that_passes(browser: Browser, tmp_path: Path) -> None:
    page = await browser.get(f"/deliveries/{DONE}/test")
    assert "signed as UP42 does with a secret for tests" in page.text
    assert SECRET not in page.html
    (link,) = [each for each in page.links if "save=1" in each]
    found = (await browser.get(link)).response
    assert found.headers["content-disposition"] == 'attachment; filename="test_000000000000.py"'
    file = tmp_path / "test_saved.py"
    file.write_text(found.text, encoding="utf-8")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-n0", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "1 passed" in done.stdout, done.stdout


async def test_what_is_delivered_to_write_a_test_is_not_logged(
    browser: Browser, inbox: SQLiteInbox, caplog: pytest.LogCaptureFixture
) -> None:
    await inbox.load([stored(82, content=b'{"a": 1}')], inbox.clock())
    caplog.set_level("DEBUG", "webhook_receiver")
    for id in (DONE, "00000052"):
        assert (await browser.get(f"/deliveries/{id}/test")).status == 200
    assert [each.getMessage() for each in caplog.records if each.name == "webhook_receiver"] == []


async def test_only_the_test_of_a_sender_that_is_known_is_written(inbox: SQLiteInbox) -> None:
    await inbox.load([stored(78, receiver="partner"), stored(79, content=body(pad="x" * 300_000))], inbox.clock())
    browser = Browser(Inspector.on_loopback(inbox))
    assert (await browser.get("/deliveries/0000004e/test")).status == 409
    assert (await browser.get("/deliveries/0000004f/test")).status == 409
    assert (await browser.get(f"/deliveries/{DONE}/test")).status == 200, "the receiver is called as its sender"
    await browser.client.aclose()


async def test_a_sender_that_cannot_sign_says_so(inbox: SQLiteInbox) -> None:
    hooks = WebhookReceiver(scheme=BodySecret("s3cret-value", member="code"), inbox=inbox, name="up42")
    browser = Browser(Inspector.on_loopback(hooks, writable=True))
    page = await browser.get(f"/deliveries/{DEAD}/curl")
    signed = await browser.post(f"/deliveries/{DEAD}/curl", page.form)
    assert (signed.status, "put the secret into the body" in signed.text) == (409, True)
    await browser.client.aclose()


async def test_damaged_states_are_told_of(browser: Browser, inbox: SQLiteInbox, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "hooks.db")) as file, file:
        tables = {row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert "progress" in tables
        columns = [row[1] for row in file.execute("PRAGMA table_info(progress)")]
        assert "handlers" in columns
        file.execute("UPDATE progress SET handlers = 'nonsense'")
    page = await browser.get(f"/deliveries/{DEAD}")
    assert (page.status, "are damaged" in page.text) == (200, True)
    assert (await browser.get("/deliveries")).status == 200
    assert "Purge 1 delivery?" in (await browser.get(f"/purge?only={DEAD}")).text


async def test_a_damaged_delivery_can_be_purged_from_its_page(
    browser: Browser, reader: Browser, inbox: SQLiteInbox, tmp_path: Path
) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "hooks.db")) as file, file:
        file.execute("UPDATE delivery SET body = zeroblob(5) WHERE id = ?", [DEAD])
    for path in ("", "/curl", "/edit"):
        page = await browser.get(f"/deliveries/{DEAD}{path}")
        assert (page.status, "This delivery is damaged" in page.text) == (500, True), page.text
        assert f"/purge?only={DEAD}" in page.links
    assert not any("purge" in each for each in (await reader.get(f"/deliveries/{DEAD}")).links)
    assert "1 delivery removed" in (await browser.confirm(f"/purge?only={DEAD}", reason="it is damaged")).text


async def test_the_time_line_is_drawn_with_words_for_those_who_do_not_see_it(
    browser: Browser, inbox: SQLiteInbox
) -> None:
    attempts = [FailedAttempt(DOWNLOAD, 1, NOW + 80, 5, "retry", "OSError", TRACEBACK)]
    browser.client._transport.app.site.clock = lambda: NOW + 100  # type: ignore[attr-defined]
    failed = {DOWNLOAD: HandlerState(State.WAITING, 1, 1, inbox.clock() + 60)}
    waits = stored(80, State.WAITING, attempts=attempts, handlers=failed, due=inbox.clock() + 60)
    await inbox.load([waits], inbox.clock())
    page = await browser.get("/deliveries/00000050")
    assert 'aria-label="download: attempt 1, 0 s after receipt, failed after 5.0 s"' in page.html
    assert "waiting, 1 attempt, next in" in page.text
    assert 'class="now"' in page.html


def test_the_example_bodies_are_json() -> None:
    assert json.loads(dead(3).delivery.body)["body"]["orderId"] == "o-3"
    assert github("a-secret-for-tests").name == "github"
    assert len(hashlib.sha256(body()).hexdigest()) == 64
