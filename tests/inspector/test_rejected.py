"""The pages of rejected requests: the likely cause first, whatever a stranger sent, and no secret."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import NOW, SECRET
from tests.inspector.stage import Browser, body, receivers, sqlite
from tests.inspector.test_gate import SEPARATE
from tests.inspector.test_hostile import TRICKS, check
from tests.working import until
from webhook_receiver import Unsigned, WebhookReceiver
from webhook_receiver.capture.rejected_request import RejectedRequest
from webhook_receiver.cli.dev_rejections import explain
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import Explanation
from webhook_receiver.inspector import Inspector
from webhook_receiver.inspector.pages.rejected import rejected_pages
from webhook_receiver.inspector.rejections import MOST, MOST_BYTES, Rejections
from webhook_receiver.senders.github import github
from webhook_receiver.senders.up42.signature import UP42Signature
from webhook_receiver.signatures import Secret
from webhook_receiver.simulator import payloads


def rejected(
    content: bytes = body(),
    *,
    secret: str = "not-the-receivers",
    signed_at: float = NOW,
    error: str = "BadSignature",
    said: str = "no secret gives this signature",
    **changes: Any,
) -> RejectedRequest:
    """Return a request as a receiver of the stage has rejected it."""
    head = payloads.signed(content, UP42Signature(Secret(secret)), now=signed_at, url="http://127.0.0.1/webhooks")
    found = RejectedRequest(
        "up42", NOW, "POST", "/webhooks", "127.0.0.1", head.headers, content, True, error, said, 401
    )
    return found._replace(**changes)


@dataclass
class Stage:
    rejections: Rejections
    browser: Browser

    async def explained(self, number: int = 1) -> str:
        """Return the text of the page of one."""
        page = await self.browser.get(f"/rejected/{number}")
        assert page.status == 200, page.text
        return page.text


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    hooks = receivers(sqlite(tmp_path))
    rejections = Rejections(hooks, explain)
    inspector = Inspector.on_loopback(hooks, writable=True, pages=rejected_pages(rejections), beside=rejections.version)
    inspector.site.clock = lambda: NOW + 100
    browser = Browser(inspector)
    async with browser.client:
        yield Stage(rejections, browser)
        await inspector.site.inspected[0].inbox.close()


async def test_the_likely_cause_and_what_to_do_come_first(stage: Stage) -> None:
    stage.rejections.add(
        rejected(secret=SECRET, signed_at=NOW - 3600, error="StaleSignature", said="signed 3600 s ago")
    )
    text = await stage.explained()
    first = text.index("Likely cause authentic, but signed 1 h ago")
    assert (
        first < text.index("What to do: if it came just now, one of the clocks") < text.index("Verified step by step")
    )
    assert "failed its time, if it states one, is within the limits signed 3600 s ago" in text
    assert "passed it covers this body" in text


async def test_a_change_on_the_way_is_found_by_trial(stage: Stage) -> None:
    sent = body(note="ä")
    stage.rejections.add(rejected(sent, secret=SECRET)._replace(body=sent + b"\n", error="BodyMismatch"))
    assert "Likely cause a newline was added at the end of the body" in await stage.explained()


async def test_another_secret_is_said_to_be_one(stage: Stage) -> None:
    stage.rejections.add(rejected())
    text = await stage.explained()
    assert "it was signed with another secret, or by nobody who knows one" in text
    assert "POST /webhooks" in text
    assert "401, with no reason" in text


async def test_nobody_signs_with_what_stands_for_the_secret_of_a_receiver(stage: Stage) -> None:
    """A stranger who knew it would have his own cause told: that the receiver needs another sender."""
    head = RequestHead.of({"x-github-event": "issues", "x-github-delivery": "1"})
    head = github("of the receiver itself").scheme.sign(head, b"{}", NOW)
    stage.rejections.add(rejected(b"{}")._replace(headers=head.headers))
    assert "signed as GitHub" not in await stage.explained()


async def test_the_list_tells_the_newest_first_with_their_causes_once_they_are_found(stage: Stage) -> None:
    assert "Nothing was rejected" in (await stage.browser.get("/rejected")).text
    stage.rejections.add(
        rejected(secret=SECRET, signed_at=NOW - 7200, error="StaleSignature", said="signed 7200 s ago")
    )
    stage.rejections.add(rejected())
    before = repr(stage.rejections.version())
    page = await stage.browser.get("/rejected")
    assert "signed 7200 s ago" in page.text, "what the receiver said, until more is known"
    assert page.text.index("BadSignature") < page.text.index("StaleSignature")
    await until(lambda: all(each.is_explained for each in stage.rejections.newest()))
    assert repr(stage.rejections.version()) != before, "a page that is open is told of it"
    page = await stage.browser.get("/rejected")
    assert "authentic, but signed 2 h ago" in page.text
    assert "2 requests rejected since dev began" in page.text


async def test_what_cannot_be_explained_is_told_as_the_receiver_did(stage: Stage) -> None:
    stage.rejections.add(
        rejected(is_whole=False, error="BodyTooLarge", said="the body has more than 5 bytes", status=413)
    )
    stage.rejections.add(rejected(receiver="gone"))
    text = await stage.explained()
    assert "Likely cause the body has more than 5 bytes" in text
    assert "Its body was not read to the end" in text
    assert "There is no explanation of it" in await stage.explained(2)


async def test_one_that_verifies_by_now_says_that_the_receiver_was_changed(stage: Stage) -> None:
    stage.rejections.add(rejected(secret=SECRET))
    assert (
        "It verifies now, and to what dev was started with. The receiver was changed since" in await stage.explained()
    )


async def test_an_explanation_that_fails_is_none_and_is_not_tried_again() -> None:
    tried: list[RejectedRequest] = []

    def explain(hooks: WebhookReceiver, request: RejectedRequest) -> Explanation | None:
        tried.append(request)
        raise RuntimeError("odd")

    rejections = Rejections([WebhookReceiver(secret=SECRET)], explain)
    rejections.add(rejected())
    for _ in range(2):
        await rejections.explain(rejections.newest()[0])
    assert (len(tried), rejections.newest()[0].explanation) == (1, None)


async def test_only_the_latest_are_kept_and_no_more_bytes_than_there_is_room_for(stage: Stage) -> None:
    for _ in range(MOST + 5):
        stage.rejections.add(rejected())
    kept = stage.rejections.newest()
    assert (len(kept), kept[0].number, kept[-1].number) == (MOST, MOST + 5, 6)
    page = await stage.browser.get("/rejected")
    assert f"{MOST + 5} requests rejected since dev began, {MOST} kept, the newest 50 shown" in page.text
    assert (await stage.browser.get("/rejected/5")).status == 404
    large = rejected()._replace(body=b"x" * 1_000_000)
    for _ in range(40):
        stage.rejections.add(large)
    assert sum(len(each.request.body) for each in stage.rejections.newest()) <= MOST_BYTES
    assert len(stage.rejections.newest()) == MOST_BYTES // 1_000_000


async def test_all_are_forgotten_once_that_was_confirmed(stage: Stage) -> None:
    for _ in range(3):
        stage.rejections.add(rejected())
    page = await stage.browser.get("/rejected")
    assert "<form" not in page.html.partition("<main")[2], "no press forgets them at once"
    assert "/rejected/forget" in page.links
    page = await stage.browser.get("/rejected/forget")
    assert "Forget 3 rejected requests?" in page.text
    assert len(stage.rejections.newest()) == 3
    page = await stage.browser.post("/rejected", page.form)
    assert "Nothing was rejected" in page.text
    assert stage.rejections.newest() == []


async def test_no_page_of_another_site_forgets_them_and_no_other_name_shows_them(stage: Stage) -> None:
    stage.rejections.add(rejected())
    page = await stage.browser.get("/rejected/forget")
    for kind in SEPARATE:
        assert (await stage.browser.post("/rejected", page.form, **SEPARATE[kind])).status == 403, kind
    for token in ("", "x" * 43, "ä"):
        assert (await stage.browser.post("/rejected", {"token": token})).status == 403
    for path in ("/rejected", "/rejected/1"):
        for host in ("evil.example", "127.0.0.1.evil.example", ""):
            assert (await stage.browser.get(path, host=host)).status == 403
        assert (await stage.browser.get(path, sec_fetch_site="cross-site")).status == 403
    assert (await stage.browser.get("/rejected/1")).status == 200
    assert len(stage.rejections.newest()) == 1


@pytest.mark.parametrize("trick", TRICKS)
async def test_whatever_a_stranger_sends_is_inert(stage: Stage, trick: str) -> None:
    text = TRICKS[trick]
    wire = text.encode("utf-8", "surrogatepass")
    content = json.dumps({text[:400]: text, "event": text[:400]}).encode()
    hostile = rejected(
        content,
        method=text[:100],
        target=f"/webhooks/{text[:300]}?q={text[:300]}",
        client=text[:100],
        headers=((b"content-type", wire[:2000]), (b"x-note", wire[:60_000]), (b"x-" + wire[:200].lower(), b"v")),
        error=text[:100],
        said=text,
    )
    stage.rejections.add(hostile)
    stage.rejections.add(hostile._replace(body=wire))
    stage.rejections.add(hostile._replace(receiver=text[:200]))
    for path in ("/rejected", "/rejected/1", "/rejected/1?form=tree", "/rejected/2?form=raw&all=1", "/rejected/3"):
        page = await stage.browser.get(path)
        assert page.status == 200, path
        check(page.html)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00<script>", b"\x80" * 1_048_576, b"{" * 1_048_576, b"<p>" * 349_525])
async def test_a_body_that_is_no_text_or_very_long_is_shown_in_part_and_inertly(stage: Stage, content: bytes) -> None:
    stage.rejections.add(rejected()._replace(body=content, headers=((b"content-type", b"application/json"),)))
    for form in ("", "raw", "hex", "tree", "pretty"):
        page = await stage.browser.get(f"/rejected/1?form={form}")
        assert page.status == 200
        assert len(page.html) < 200_000
        check(page.html)
    assert "<script>" not in page.html.partition("<main")[2]


HIDDEN = "a-value-that-nobody-may-see"


async def test_what_may_be_a_secret_is_on_no_page(tmp_path: Path) -> None:
    hooks = WebhookReceiver(scheme=Unsigned(token_in_path=HIDDEN), inbox=sqlite(tmp_path))
    rejections = Rejections([hooks], explain)
    inspector = Inspector.on_loopback(hooks, pages=rejected_pages(rejections))
    headers = [
        (b"authorization", b"Bearer " + HIDDEN.encode()),
        (b"cookie", HIDDEN.encode()),
        (b"x-api-key", HIDDEN.encode()),
    ]
    headers += [(b"x-hub-signature", HIDDEN.encode()), (b"x-note", b"Basic " + HIDDEN.encode())]
    content = json.dumps({"token": HIDDEN, "client_secret": HIDDEN, "password": HIDDEN}).encode()
    targets = ["/in/short", f"/in/{HIDDEN}x", f"/in/a?token={HIDDEN}", f"/in/a?sig=1&api_key={HIDDEN}&q={HIDDEN}"]
    browser = Browser(inspector)
    async with browser.client:
        for number, target in enumerate(targets, 1):
            rejections.add(
                rejected(content, receiver=hooks.name, headers=tuple(headers), target=target, error="MissingSignature")
            )
            for path in ("/rejected", f"/rejected/{number}", f"/rejected/{number}?form=raw&all=1"):
                page = await browser.get(path)
                assert page.status == 200
                assert HIDDEN not in page.html, (target, path)
        assert "/in/short" not in (await browser.get("/rejected/1")).html, "the scheme has its secret there"
    await inspector.site.inspected[0].inbox.close()


async def test_of_a_receiver_that_is_not_at_hand_nothing_is_shown_that_may_be_a_secret(stage: Stage) -> None:
    headers = ((b"x-note", HIDDEN.encode()), (b"content-type", b"text/plain"))
    stage.rejections.add(rejected(HIDDEN.encode(), receiver="new", headers=headers, target=f"/in?q={HIDDEN}"))
    for path in ("/rejected", "/rejected/1", "/rejected/1?form=raw"):
        page = await stage.browser.get(path)
        assert page.status == 200
        assert HIDDEN not in page.html
    assert "start dev again to see its headers" in page.text


def test_its_repr_shows_nothing_of_it() -> None:
    request = rejected(body(note=HIDDEN), target=f"/{HIDDEN}", headers=((b"x-note", HIDDEN.encode()),))
    assert HIDDEN not in repr(request)
    assert sys.getsizeof(repr(request)) < 200
