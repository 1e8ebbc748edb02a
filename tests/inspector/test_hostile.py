"""What strangers send is shown inertly, wherever it is shown, and quickly."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.helpers import NOW
from tests.inspector.stage import DOWNLOAD, Browser, body, looked_at, receivers, sqlite, stored
from webhook_receiver import FailedAttempt, HandlerState, State
from webhook_receiver.inbox.records import AuditRecord, Metric, PollOutcome
from webhook_receiver.inspector import Inspector

MARKUP = """"><script>alert(1)</script><img src=x onerror=alert(2)>'`{{7*7}}${7*7}<!--"""
TRICKS = {
    "markup": MARKUP,
    "terminal": "\x1b[2J\x1b]0;pwned\x07\x9b31m",
    "turned": "\u202egnp.exe\u2066\u2069\u200f",
    "hidden": "a\u200b\u2060\ufeff\u00adb\U000e0041",
    "lines": "one\r\ntwo\u2028three\x00four",
    "long": "x" * 1_000_000,
    "url": "javascript:alert(1)//",
    "attributes": "' onmouseover='alert(1)' hx-get='/purge' data-x='",
}


class Checked(HTMLParser):
    """Notes what a browser would run or load of a page, and which of its tags never end."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.scripts += tag == "script"
        if tag == "img" or [name for name in given if name.startswith("on")] or "style" in given:
            self.wrong.append(f"{tag} {given}")
        for name in ("href", "src", "action", "hx-get", "hx-post"):
            if name in given and not (given[name] or "").startswith(("/", "#", "https://docs.")):
                self.wrong.append(f"{tag} {name}={given[name]}")


def check(html: str) -> None:
    parser = Checked()
    parser.feed(html)
    parser.close()
    assert parser.wrong == []
    assert parser.scripts == 2, "those of the layout"
    bare = re.sub(r"[\n]", "", html)
    assert bare.isprintable() or not re.search(
        "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", bare
    )


@pytest.mark.parametrize("trick", TRICKS)
async def test_hostile_content_is_inert_on_every_page(trick: str, tmp_path: Path) -> None:
    text = TRICKS[trick]
    short = text[:400]
    inbox = sqlite(tmp_path)
    await inbox.open()
    wire = text.encode("utf-8", "surrogatepass")[:60_000]
    attempts = [FailedAttempt(DOWNLOAD, 1, NOW + 1, 0.1, "dead", f"ValueError: {text}", f"Traceback\n{text}")]
    hostile = stored(
        1,
        State.DEAD,
        content=body(text, note=text, **{short: text}),
        headers=((b"content-type", b"application/json"), (b"x-note", wire), (b"x-" + wire[:200].lower(), b"v")),
        event=short,
        identity=text,
        order=short,
        attempts=attempts,
        handlers={DOWNLOAD: HandlerState(State.DEAD, 1, 1), short: HandlerState(State.DEAD, 1, 1)},
        reason=f"ValueError: {text}",
    )
    other = replace(hostile.delivery, context=short)
    await inbox.load([hostile._replace(delivery=other), stored(2, content=wire, receiver=short)], inbox.clock())
    await inbox.count({Metric(short, f"done {short}", 1): 1, Metric("up42", f"rejected {short}"): 1}, NOW)
    await inbox.audit(AuditRecord(NOW, short, short, {short: short}, 1))
    await inbox.pause(short, NOW)
    if (lease := await inbox.lease_poll("up42", short, 60, inbox.clock())) is not None:
        await inbox.put_all([], short, lease, NOW)
        await inbox.release_poll(lease, inbox.clock(), PollOutcome(text), NOW)
    browser = Browser(looked_at(Inspector.on_loopback(receivers(inbox), writable=True)))
    id = hostile.summary.id
    paths = [
        "/",
        "/deliveries",
        "/dead",
        "/handlers",
        "/senders",
        "/audit",
        f"/deliveries/{id}",
        "/deliveries/00000002",
    ]
    paths += [f"/deliveries/{id}?form={form}" for form in ("tree", "raw", "hex")]
    paths += [f"/deliveries/{id}/curl", f"/deliveries/{id}/edit", f"/replay?only={id}", f"/purge?only={id}"]
    for path in paths:
        began = time.perf_counter()
        page = await browser.get(path)
        took = time.perf_counter() - began
        assert page.status == 200 or (path.endswith("/edit") and page.status == 409), (path, page.text[:500])
        if not path.endswith("/edit"):  # whose field has the very text
            check(page.html)
        assert "<script>alert" not in page.html
        assert took < 2.0, (path, took)
        assert len(page.html) < 3_000_000
    await browser.client.aclose()
    await inbox.close()


@pytest.mark.parametrize("trick", [each for each in TRICKS if each != "long"])
async def test_hostile_words_in_an_address_are_inert(trick: str, browser: Browser) -> None:
    text = TRICKS[trick]
    for name in ("id", "event", "key", "receiver", "handler", "since", "before", "error", "state", "only", "nothing"):
        response = await browser.client.get("/deliveries", params={name: text, "state": "dead"})
        assert response.status_code == 200
        check(response.text)
    for path in ("/replay", "/purge", "/pause", "/finished", "/audit", "/"):
        response = await browser.client.get(path, params={"handler": text, "only": text, "span": text, "action": text})
        assert response.status_code in (200, 404)
        check(response.text)
    response = await browser.client.get(f"/deliveries/{quote(text, safe='')}")
    assert response.status_code == 404
    check(response.text)


async def test_the_words_of_a_form_that_come_back_are_inert(browser: Browser) -> None:
    id = "00000003" + "0" * 24
    page = await browser.get(f"/deliveries/{id}/edit")
    assert "characters that nobody sees" not in page.text
    for text in (MARKUP, "</textarea><script>alert(1)</script>", "\u202e{"):
        again = await browser.post(f"/deliveries/{id}/edit", page.form | {"body": text})
        assert again.status == 422
        assert "<script>alert" not in again.html
        assert again.html.count("</textarea>") == 1
    assert "characters that nobody sees" in again.text


async def test_a_name_in_the_body_of_json_is_no_way_out(browser: Browser) -> None:
    document = {MARKUP: [MARKUP, {MARKUP: MARKUP}]}
    await browser.client.get("/")
    inbox = browser.client._transport.app.site.inspected[0].inbox  # type: ignore[attr-defined]
    await inbox.load([stored(90, content=json.dumps(document).encode())], inbox.clock())
    for form in ("pretty", "tree", "raw"):
        check((await browser.get(f"/deliveries/0000005a?form={form}")).html)
